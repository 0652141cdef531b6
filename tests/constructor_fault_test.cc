// SPDX-License-Identifier: MIT
// Every system call fails once, in whichever process makes it: while a pool is made, while it
// works, and while it replaces workers. It throws std::system_error and leaves nothing, or it lives
// without the call.
#include <gtest/gtest.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <map>
#include <set>
#include <string>
#include <system_error>
#include <vector>

#include "base/fault.h"
#include "procpool/procpool.h"
#include "support/fork_test.h"
#include "support/methods.h"

namespace procpool {
namespace {

using namespace testing;  // NOLINT: this file is about what stands there
using testing::shared;    // not the handle
namespace fault = base::fault;

int twice(int x) { return 2 * x; }

/// What the system may say to each call (its man page), where EINVAL would only be our own mistake.
int sensible(const std::string& call) {
  static const std::map<std::string, int> errors{
      {"memfd_create", EMFILE}, {"eventfd", EMFILE},
      {"epoll_create", EMFILE}, {"socketpair", ENFILE},
      {"signalfd", EMFILE},     {"pidfd_open", EMFILE},
      {"fork", EAGAIN},         {"ftruncate", EPERM},
      {"fcntl", EPERM},         {"mprotect", ENOMEM},
      {"send", ENOBUFS},        {"pidfd_send_signal", EPERM},
      {"prctl", EPERM},         {"sched_getaffinity", EPERM},
      {"spawn", EAGAIN},        {"dup_cloexec", EMFILE},
      {"execve", ENOMEM},       {"close_range", EINVAL},
  };
  const auto known = errors.find(call);
  return known == errors.end() ? ENOMEM : known->second;
}

/// Not driven: no kernel lets these fail so, or a process that cannot do them can do nothing right.
bool cannot_fail(const std::string& call) {
  // Waiting for one's own child has no failure but EINTR. An eventfd's write fails only when the
  // counter is full, that is, when whoever is to be woken is about to wake anyway; its read, only
  // when there is nothing to read. futex_wake of a mapped word has no failure at all. munmap of a
  // whole mapping needs nothing that could be missing.
  static const std::set<std::string> such{"waitid", "waitpid", "wait4",     "read",
                                          "write",  "munmap",  "futex_wake"};
  return such.contains(call);
}

class constructor_fault : public fork_test, public ::testing::WithParamInterface<start_method> {
 protected:
  /// Options of a pool of two.
  static pool_options two() { return {.processes = 2, .start_method = GetParam()}; }
  static void SetUpTestSuite() { fault::reset(); }  // its memory stays
  constructor_fault() { fault::reset(); }
  ~constructor_fault() override { fault::reset(); }
};

PROCPOOL_PROCESS_METHODS(constructor_fault);

using site = std::pair<std::string, std::uint64_t>;

/// The calls that `run` makes, each as often as it is made, but no more than `most` times.
template <class Run>
std::vector<site> sites_of(Run run, std::uint64_t most) {
  fault::reset();
  run();
  std::vector<site> all;
  for (const fault::count& c : fault::counts()) {
    if (cannot_fail(c.name)) continue;
    for (std::uint64_t nth = 1; nth <= std::min(c.calls, most); ++nth)
      all.emplace_back(c.name, nth);
  }
  return all;
}

TEST_P(constructor_fault, ThrowsOrWorksAndLeavesNothing) {
  pool_census before;
  const auto sites = sites_of(
      [] {
        pool p(two());
        p.terminate();
      },
      1000);
  int refused = 0;
  int tolerated = 0;
  for (const auto& [call, nth] : sites) {
    SCOPED_TRACE(call + ", call " + std::to_string(nth));
    now_trying(call + ", call " + std::to_string(nth));
    fault::reset();
    fault::arm(call.c_str(), nth, sensible(call));
    try {
      pool p(two());
      EXPECT_EQ(p.map({.chunksize = 1}, twice, std::vector<int>{1, 2, 3}),
                (std::vector<int>{2, 4, 6}));
      tolerated += fault::fired();
    } catch (const std::system_error& e) {
      EXPECT_TRUE(fault::fired()) << e.what();
      EXPECT_EQ(std::string(e.what()).find("procpool: "), 0U) << e.what();
      ++refused;
    } catch (const std::exception& e) {
      ADD_FAILURE() << e.what();
    }
    fault::reset();
    reap_orphans();
    ASSERT_TRUE(before.unchanged());
  }
  std::printf("constructor: %zu call sites driven, %d refused, %d tolerated\n", sites.size(),
              refused, tolerated);
  EXPECT_GE(refused, 25);
  EXPECT_GT(tolerated, 5);
}

// All are asked for at once; the one that is refused may be followed by others that are not.
TEST_P(constructor_fault, EachProcessThatIsRefusedIsTold) {
  pool_options many = two();
  many.processes = 4;
  int forks = 0;
  for (const auto& [call, nth] : sites_of([&] { pool(many).terminate(); }, 1000)) {
    if (call != "fork") continue;
    ++forks;
    fault::reset();
    fault::arm("fork", nth, EAGAIN);
    EXPECT_THROW(pool{many}, std::system_error) << "fork " << nth;
    EXPECT_TRUE(fault::fired());
    reap_orphans();
  }
  EXPECT_GE(forks, 4);
}

/// A pool's work: calls of all kinds, large ones, a worker that is replaced.
void work(pool& p) {
  EXPECT_EQ(p.apply(twice, 4), 8);
  EXPECT_EQ(p.map({.chunksize = 10}, twice, std::vector<int>(100, 4)), std::vector<int>(100, 8));
  const auto large = p.map([](const std::string& s) { return s + s; },
                           std::vector<std::string>(3, std::string(100'000, 'x')));
  EXPECT_EQ(large.back().size(), 200'000U);
  auto r = p.apply_async(twice, 5).then([](int x) { return x + 1; });
  EXPECT_EQ(r.get(seconds(20)), 11);
  EXPECT_THROW(p.apply([](int) -> int { ::_exit(1); }, 0), worker_died);
  p.resize(3);
  p.resize(2);
  std::vector<async_result<int>> burst;
  for (int i = 0; i < 20; ++i) burst.push_back(p.apply_async(twice, i));
  for (int i = 0; i < 20; ++i)
    EXPECT_EQ(burst[static_cast<std::size_t>(i)].get(seconds(20)), 2 * i);
  // Idle for a moment: then the background thread attends.
  auto waited = p.apply_async(
                     [](int x) {
                       ::usleep(2000);
                       return x;
                     },
                     3)
                    .then([](int x) { return x; });
  EXPECT_TRUE(eventually([&] { return waited.ready(); }, seconds(20)));
}

TEST_P(constructor_fault, AWorkingPoolGivesTheRightResultOrAnError) {
  pool_census before;
  // What fails a call of the user's, instead of being lived without: the reasons of api.md.
  int errors = 0;
  const auto run = [&] {
    pool p(two());
    fault::reset();
    work(p);
  };
  const auto sites = sites_of(run, 6);
  for (const auto& [call, nth] : sites) {
    SCOPED_TRACE(call + ", call " + std::to_string(nth));
    now_trying(call + ", call " + std::to_string(nth));
    {
      fault::reset();
      pool p(two());
      p.map({.chunksize = 1}, twice, std::vector<int>(10, 1));
      fault::reset();
      fault::arm(call.c_str(), nth, sensible(call));
      try {
        work(p);
      } catch (const std::exception& e) {
        EXPECT_TRUE(fault::fired()) << e.what();
        ++errors;
      }
      fault::reset();
      // Whatever that was, it has passed.
      try {
        EXPECT_EQ(p.apply(twice, 1), 2);
      } catch (const pool_broken&) {
        ++errors;
      }
    }
    reap_orphans();
    ASSERT_TRUE(before.unchanged());
  }
  std::printf("working pool: %zu call sites driven, %d told the caller\n", sites.size(), errors);
  EXPECT_GT(sites.size(), 20U);
}

TEST_P(constructor_fault, EndingAPoolSurvivesEachFailure) {
  pool_census before;
  const auto run = [](bool now) {
    pool p(two());
    auto r = p.map_async({.chunksize = 10}, twice, std::vector<int>(200, 1));
    if (!now) r.wait();
    fault::reset();
    if (now)
      p.terminate();
    else
      p.close();
    p.join();
  };
  std::size_t driven = 0;
  for (bool now : {false, true}) {
    const auto sites = sites_of([&] { run(now); }, 8);
    driven += sites.size();
    for (const auto& [call, nth] : sites) {
      now_trying(call + ", call " + std::to_string(nth) + (now ? " of terminate" : " of close"));
      SCOPED_TRACE(call + ", call " + std::to_string(nth) + (now ? " of terminate" : " of close"));
      fault::reset();
      pool p(two());
      auto r = p.map_async({.chunksize = 10}, twice, std::vector<int>(200, 1));
      if (!now) r.wait();
      fault::reset();
      fault::arm(call.c_str(), nth, sensible(call));
      if (now)
        p.terminate();
      else
        p.close();
      EXPECT_TRUE(p.join_for(seconds(20)));
    }
    fault::reset();
    reap_orphans();
    ASSERT_TRUE(before.unchanged());
  }
  std::printf("ending a pool: %zu call sites driven\n", driven);
}

// ---- no worker can be made ----------------------------------------------------------------------

TEST_P(constructor_fault, WithOneWorkerLeftWorkGoesOnAndThePlaceIsFilledLater) {
  pool p(two());
  p.map({.chunksize = 1}, twice, std::vector<int>(10, 1));
  fault::reset();
  fault::arm("fork", 1, EAGAIN);
  ::kill(the_workers().front(), SIGKILL);
  EXPECT_EQ(p.map({.chunksize = 1}, twice, std::vector<int>(100, 1)), std::vector<int>(100, 2));
  EXPECT_TRUE(eventually([] { return fault::fired() && the_workers().size() == 2; }));
}

TEST_P(constructor_fault, WithNoWorkerLeftPendingResultsFail) {
  {
    pool p(two());
    auto busy = [](int) -> int {
      ++shared[0];
      for (;;) ::pause();
    };
    auto one = p.apply_async(busy, 1);
    auto two = p.apply_async(busy, 1);
    await(0, 2);
    auto pending = p.map_async({.chunksize = 10}, twice, std::vector<int>(100, 1));
    fault::reset();
    fault::arm("fork", 1, EAGAIN, 1'000'000);
    for (pid_t each : the_workers()) ::kill(each, SIGKILL);
    EXPECT_THROW(one.get(seconds(20)), worker_died);
    EXPECT_THROW(two.get(seconds(20)), worker_died);
    EXPECT_THROW(pending.get(seconds(20)), pool_broken);
    try {
      p.apply(twice, 1);
      ADD_FAILURE();
    } catch (const pool_broken& e) {
      EXPECT_THROW(std::rethrow_if_nested(e), std::system_error);
    }
  }
  fault::reset();
}

}  // namespace
}  // namespace procpool
