// SPDX-License-Identifier: MIT
// The contract of pool_options.limits: what setrlimit(2) says in each worker, and how what meets a
// limit fails.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstddef>
#include <exception>
#include <new>
#include <numeric>
#include <stdexcept>
#include <string>
#include <vector>

#include "procpool/procpool.h"
#include "support/methods.h"
#include "support/own_memory.h"
#include "support/tasks.h"

namespace {

using namespace procpool::testing;  // NOLINT(google-build-using-namespace)
using namespace std::chrono_literals;
using procpool::pool;
using procpool::pool_options;
using procpool::start_method;
using procpool::worker_died;
using procpool::worker_limits;

class rlimits : public pool_test {};
class rlimits_near : public pool_test {};
PROCPOOL_PROCESS_METHODS(rlimits);
INSTANTIATE_TEST_SUITE_P(contract, rlimits_near, ::testing::Values(start_method::in_process),
                         name_of);

/// A sanitizer's shadow is more than any limit: its processes do not even begin.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define PROCPOOL_NEEDS_PLAIN_MEMORY() GTEST_SKIP() << "the sanitizer has mapped more than any limit"
#else
#define PROCPOOL_NEEDS_PLAIN_MEMORY() static_cast<void>(0)
#endif

pool_options limited(pool_options o, worker_limits limits) {
  o.limits = limits;
  return o;
}

struct limit {
  rlim_t soft;
  rlim_t hard;
  friend bool operator==(const limit&, const limit&) = default;
};
limit limit_of(__rlimit_resource what) {
  struct rlimit now {};
  ::getrlimit(what, &now);
  return {now.rlim_cur, now.rlim_max};
}

/// All that can be set.
struct all_limits {
  limit cpu = limit_of(RLIMIT_CPU), address_space = limit_of(RLIMIT_AS),
        data = limit_of(RLIMIT_DATA), open_files = limit_of(RLIMIT_NOFILE),
        core = limit_of(RLIMIT_CORE);
  friend bool operator==(const all_limits&, const all_limits&) = default;
};

constexpr std::size_t TiB = std::size_t{1} << 40;

TEST_P(rlimits, hold_in_each_worker_from_before_its_initializer) {
  // Of addresses what a sanitizer needs, too.
  pool_options o = limited(with(2), {.cpu = 1000s,
                                     .address_space = 1000 * TiB,
                                     .data = 900 * TiB,
                                     .open_files = 200,
                                     .core = 4096});
  o.initializer = procpool::task([] { return all_limits{}; });
  o.max_tasks_per_child = 3;  // replacements too
  pool p(o);
  const auto all = p.map([](int) { return procpool::this_worker::state<all_limits>(); }, first(20));
  for (const all_limits& l : all) {
    EXPECT_EQ(l.cpu, (limit{1000, 1001}));
    EXPECT_GE(l.address_space.soft, 1000 * TiB);
    EXPECT_LT(l.address_space.soft, 1100 * TiB);
    EXPECT_EQ(l.data, (limit{900 * TiB, 900 * TiB}));
    EXPECT_EQ(l.open_files, (limit{200, 200}));
    EXPECT_EQ(l.core, (limit{4096, 4096}));
  }
}

TEST_P(rlimits, what_is_not_asked_for_is_as_it_was_and_nothing_changes_here) {
  const all_limits before;
  pool p(limited(with(1), {.cpu = 1000s, .core = 0}));
  all_limits expected;
  expected.cpu = {1000, 1001};
  expected.core = {0, 0};
  EXPECT_EQ(p.apply([] { return all_limits{}; }), expected);
  EXPECT_EQ(all_limits{}, before);
}

TEST_P(rlimits, are_no_more_than_the_process_may_have) {
  const start_method method = GetParam();
  EXPECT_TRUE(in_a_child([method] {
    for (const auto& [what, most] :
         {std::pair(RLIMIT_NOFILE, 100UL), std::pair(RLIMIT_CPU, 50UL)}) {
      const struct rlimit to { most, most };
      if (::setrlimit(what, &to) != 0) return false;
    }
    pool_options o{.processes = 1, .start_method = method};
    pool p(limited(o, {.cpu = 1000s, .open_files = 1000}));
    const auto l = p.apply([] { return all_limits{}; });
    return l.open_files == limit{100, 100} && l.cpu == limit{50, 50};
  }));
}

TEST_P(rlimits, that_make_no_sense_are_refused_by_name) {
  const auto refused = [](const worker_limits& l, const char* name) {
    try {
      pool p(limited(with(1), l));
      ADD_FAILURE() << name;
    } catch (const std::invalid_argument& e) {
      EXPECT_NE(std::string(e.what()).find(std::string("limits.") + name), std::string::npos)
          << e.what();
    }
  };
  refused({.cpu = 0s}, "cpu");
  refused({.cpu = -1s}, "cpu");
  refused({.address_space = 0}, "address_space");
  refused({.data = 0}, "data");
}

// ---- memory -------------------------------------------------------------------------------------

constexpr std::size_t much = 256 * MiB;

/// Fails where there is no room for so many bytes; they are not touched.
std::size_t allocate(std::size_t bytes) {
  char* volatile got = new char[bytes];
  delete[] got;
  return bytes;
}

void expect_bad_alloc_and_the_same_worker(pool& p) {
  const pid_t pid = p.apply(::getpid);
  EXPECT_THROW(p.apply(allocate, 4 * much), std::bad_alloc);
  const auto all = p.try_map({.chunksize = 3}, allocate, std::vector<std::size_t>{1, 4 * much, 3});
  EXPECT_EQ(all[0].value(), 1U);
  EXPECT_THROW(all[1].value(), std::bad_alloc);
  EXPECT_EQ(all[2].value(), 3U);
  EXPECT_EQ(p.apply(allocate, much / 4), much / 4);
  EXPECT_EQ(p.apply(::getpid), pid);
}

TEST_P(rlimits, an_allocation_past_data_is_bad_alloc_and_the_worker_lives) {
  PROCPOOL_NEEDS_PLAIN_MEMORY();
  pool p(limited(with(1), {.data = much}));
  expect_bad_alloc_and_the_same_worker(p);
}

// The pool itself maps far more than that.
TEST_P(rlimits, an_allocation_past_address_space_is_bad_alloc_and_the_worker_lives) {
  PROCPOOL_NEEDS_PLAIN_MEMORY();
  pool p(limited(with(1), {.address_space = 2 * much}));
  expect_bad_alloc_and_the_same_worker(p);
}

TEST_P(rlimits, an_argument_that_has_no_room_fails_its_item_alone) {
  PROCPOOL_NEEDS_PLAIN_MEMORY();
  pool p(limited(with(1), {.data = 64 * MiB}));
  const pid_t pid = p.apply(::getpid);
  const std::vector<std::string> words{"one", std::string(128 * MiB, 'x'), "three"};
  auto size = [](const std::string& s) { return s.size(); };
  const auto all = p.try_map({.chunksize = 3}, size, words);
  EXPECT_EQ(all[0].value(), 3U);
  EXPECT_EQ(all[2].value(), 5U);
  try {
    all[1].value();
    ADD_FAILURE();
  } catch (const procpool::serialization_error& e) {
    EXPECT_THROW(std::rethrow_if_nested(e), std::bad_alloc);
  }
  EXPECT_EQ(p.apply(::getpid), pid);
}

TEST_P(rlimits, a_result_needs_no_room_beside_the_value) {
  PROCPOOL_NEEDS_PLAIN_MEMORY();
  pool p(limited(with(1), {.data = 96 * MiB}));
  EXPECT_EQ(p.apply([] { return std::string(64 * MiB, 'x'); }).size(), 64 * MiB);
}

// ---- the others ---------------------------------------------------------------------------------

void spin() {
  for (const auto start = std::chrono::steady_clock::now();;)
    if (std::chrono::steady_clock::now() < start) throw std::logic_error("time runs backwards");
}

TEST_P(rlimits, cpu_time_ends_the_worker_and_says_so) {
  pool p(limited(with(1), {.cpu = 1s, .core = 0}));
  try {
    p.apply(spin);
    ADD_FAILURE();
  } catch (const worker_died& e) {
    EXPECT_EQ(e.signal(), SIGXCPU);
    EXPECT_EQ(e.cause(), worker_died::cause_type::signalled);
  }
  EXPECT_EQ(p.apply(square, 3), 9);
}

TEST_P(rlimits, whoever_takes_no_notice_of_that_is_killed_a_second_later) {
  pool p(limited(with(1), {.cpu = 1s, .core = 0}));
  try {
    p.apply([] {
      ::signal(SIGXCPU, SIG_IGN);
      spin();
    });
    ADD_FAILURE();
  } catch (const worker_died& e) {
    EXPECT_EQ(e.signal(), SIGKILL);
  }
  EXPECT_EQ(p.apply(square, 3), 9);
}

TEST_P(rlimits, descriptors_run_out_in_the_task_and_not_in_the_pool) {
#if defined(__SANITIZE_ADDRESS__)
  GTEST_SKIP() << "without descriptors the sanitizer cannot look at memory";
#endif
  for (const std::size_t most : {0, 1, 40}) {
    pool p(limited(with(1), {.open_files = most}));
    auto open_all = [](std::size_t below) {
      for (;;) {
        const int fd = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
        if (fd < 0) return errno == EMFILE;
        if (static_cast<std::size_t>(fd) >= below) return false;
      }
    };
    const pid_t pid = p.apply(::getpid);
    EXPECT_TRUE(p.apply(open_all, most));
    EXPECT_EQ(p.map(square, first(1000)), squares(1000));
    EXPECT_EQ(p.apply([] { return std::string(1'000'000, 'x'); }).size(), 1'000'000U);
    EXPECT_EQ(p.apply(::getpid), pid);
  }
}

TEST_P(rlimits_near, do_not_touch_this_process) {
  const all_limits before;
  pool p(limited(with(1), {.cpu = 1000s, .data = much, .open_files = 20, .core = 0}));
  EXPECT_EQ(p.apply([] { return all_limits{}; }), before);
  EXPECT_EQ(all_limits{}, before);
}

}  // namespace
