// SPDX-License-Identifier: MIT
// A pool at work that runs out: of its own shared memory, for arguments and for results, and of
// processes. The calls that meet it get an error that says so, nothing else does, and when the
// shortage is over nothing of it is left.
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>
#include <filesystem>
#include <iterator>
#include <new>
#include <stdexcept>
#include <string>
#include <system_error>
#include <vector>

#include "procpool/procpool.h"
#include "support/control_group.h"
#include "support/fork_test.h"

namespace procpool {
namespace {

using namespace testing;  // NOLINT: this file is about what stands there
using testing::shared;    // not the handle

constexpr std::size_t MiB = 1 << 20;
/// Of a small pool, whose blocks are powers of two up to 64 MiB.
constexpr std::size_t fits = 20 * MiB;
constexpr std::size_t fits_alone = 40 * MiB;
constexpr std::size_t too_large = 100 * MiB;

std::size_t size_of(const std::string& s) { return s.size(); }
std::size_t size_of_shared(const procpool::shared<std::string>& s) { return s->size(); }
std::string text_of(std::size_t size) { return std::string(size, 'x'); }
int twice(int x) { return 2 * x; }

/// f() once there is room for it: a task may hold its argument for a moment after its result came,
/// where another worker has run it.
template <class F>
auto when_there_is_room(F f) {
  for (const auto end = steady::now() + seconds(20);; ::usleep(200)) {
    try {
      return f();
    } catch (const std::bad_alloc&) {
      if (steady::now() > end) throw;
    }
  }
}

class exhaustion : public process_test {
 protected:
  /// Runs `body` with a pool of two whose parcels, and each worker's results, are 64 MiB: the least
  /// there is, which a limit of the file size enforces. In a process of its own, for the limit.
  template <class Body>
  static ::testing::AssertionResult with_small_pool(Body body) {
    return in_a_child([&] {
      rlimit all{};
      ::getrlimit(RLIMIT_FSIZE, &all);
      rlimit small = all;
      small.rlim_cur = 250 * MiB;
      ::setrlimit(RLIMIT_FSIZE, &small);
      pool p(of(2));
      ::setrlimit(RLIMIT_FSIZE, &all);
      body(p);
      p.close();
      p.join();
      return !HasFailure();
    });
  }
};
PROCPOOL_PROCESS_METHODS(exhaustion);

// ---- arguments ----------------------------------------------------------------------------------

TEST_P(exhaustion, an_argument_that_never_fits_is_bad_alloc_and_takes_nothing) {
  EXPECT_TRUE(with_small_pool([](pool& p) {
    const std::string large(too_large, 'x');
    const std::string good(fits, 'x');
    for (int round = 0; round < 3; ++round) {
      EXPECT_THROW(p.apply(size_of, large), std::bad_alloc);
      EXPECT_THROW(static_cast<void>(p.apply_async(size_of, large)), std::bad_alloc);
      EXPECT_THROW(static_cast<void>(p.share(large)), std::bad_alloc);
      EXPECT_THROW(p.map({.chunksize = 5}, size_of, std::vector(5, good)), std::bad_alloc);
      EXPECT_EQ(when_there_is_room([&] { return p.apply(size_of, good); }), fits);
    }
  }));
}

TEST_P(exhaustion, arguments_that_wait_fill_the_memory_and_leave_it_as_it_was) {
  EXPECT_TRUE(with_small_pool([](pool& p) {
    const std::string argument(MiB, 'x');
    const auto fill = [&] {
      shared[0] = 0;
      const auto wait = [](const std::string& s) {
        await(0);
        return s.size();
      };
      std::vector<async_result<std::size_t>> all;
      EXPECT_THROW(for (;;) all.push_back(p.apply_async(wait, argument)), std::bad_alloc);
      shared[0] = 1;
      for (auto& r : all) EXPECT_EQ(r.get(seconds(20)), MiB);
      return all.size();
    };
    const std::size_t many = fill();
    EXPECT_GE(many, 20U);
    // A note of a module that was loaded meanwhile may have taken one's place.
    for (int round = 0; round < 5; ++round)
      EXPECT_TRUE(eventually([&] { return fill() >= many - 1; }, seconds(20))) << round;
  }));
}

TEST_P(exhaustion, shared_values_that_fill_the_memory_give_it_back) {
  EXPECT_TRUE(with_small_pool([](pool& p) {
    for (int round = 0; round < 5; ++round) {
      const auto one = when_there_is_room([&] { return p.share(std::string(fits, 'x')); });
      EXPECT_THROW(static_cast<void>(p.share(std::string(fits_alone, 'x'))), std::bad_alloc);
      EXPECT_EQ(p.apply(size_of_shared, one), fits);
      p.unshare(one);
    }
    const std::string good(fits, 'x');
    EXPECT_EQ(when_there_is_room([&] { return p.apply(size_of, good); }), fits);
  }));
}

// ---- results ------------------------------------------------------------------------------------

/// The item's result found no room, and the error says so.
void expect_no_room(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const serialization_error& e) {
    EXPECT_NE(std::string(e.what()).find("encoding the result"), std::string::npos) << e.what();
    EXPECT_THROW(std::rethrow_if_nested(e), std::bad_alloc);
  }
}

TEST_P(exhaustion, a_result_that_never_fits_fails_alone) {
  EXPECT_TRUE(with_small_pool([](pool& p) {
    const std::vector<std::size_t> sizes{3, too_large, 5000, too_large, MiB};
    for (std::size_t chunk : {1, 2, 5}) {
      const auto all = p.try_map({.chunksize = chunk}, text_of, sizes);
      for (std::size_t i = 0; i < sizes.size(); ++i) {
        if (sizes[i] == too_large)
          expect_no_room(all[i].error());
        else
          EXPECT_EQ(all[i].value().size(), sizes[i]);
      }
    }
    for (int round = 0; round < 5; ++round) EXPECT_EQ(p.apply(text_of, fits).size(), fits);
  }));
}

// ---- processes ----------------------------------------------------------------------------------

long threads_of(pid_t pid) {
  return std::distance(
      std::filesystem::directory_iterator("/proc/" + std::to_string(pid) + "/task"), {});
}

/// The pool's and our own processes and threads are more than there may be, by one.
bool fill_up(const control_group& g) {
  long all = threads_of(::getpid()) + threads_of(the_zygote());
  for (const pid_t each : the_workers()) all += threads_of(each);
  return g.limit(std::to_string(all - 1));
}
/// Each worker has started: one that is executed needs a thread for it, as does any test program.
void await_both(pool& p) {
  shared[1] = 0;
  const auto meet = [](int x) {
    ++shared[1];
    await(1, 2);
    return x;
  };
  EXPECT_EQ(p.map({.chunksize = 1}, meet, numbers(0, 2)), numbers(0, 2));
}
bool let_go(const control_group& g) { return g.limit("max"); }

/// What the system said, in the std::system_error that f throws; 0: it throws none.
template <class F>
int refusal_of(F f) {
  try {
    f();
  } catch (const std::system_error& e) {
    return e.code().value();
  }
  return 0;
}

class exhaustion_of_processes : public process_test {
 protected:
  /// In a child that has entered the group.
  template <class Body>
  static void in_a_group(Body body) {
#if defined(__SANITIZE_THREAD__)
    GTEST_SKIP() << "the sanitizer has a thread in each process, and ends where it gets none";
#endif
    const control_group group("pids", "pids.max", "pids.max");
    if (!group.exists()) GTEST_SKIP() << "no control group can be made here";
    EXPECT_TRUE(in_a_child([&] {
      if (!group.enter()) return false;
      body(group);
      return !HasFailure();
    }));
    reap_orphans();  // workers of a zygote that a constructor gave up
  }
};
PROCPOOL_PROCESS_METHODS(exhaustion_of_processes);

TEST_P(exhaustion_of_processes, work_goes_on_with_those_that_are_left_and_the_place_is_filled) {
  in_a_group([](const control_group& group) {
    pool p(of(2));
    for (int round = 0; round < 3; ++round) {
      await_both(p);
      ASSERT_TRUE(fill_up(group));
      const pid_t victim = the_workers().front();
      ::kill(victim, SIGKILL);
      EXPECT_TRUE(eventually([&] { return state_of(victim) == 'X'; }));
      EXPECT_EQ(p.map({.chunksize = 1}, twice, numbers(0, 100)).back(), 198);
      EXPECT_EQ(the_workers().size(), 1U);
      ASSERT_TRUE(let_go(group));
      EXPECT_TRUE(eventually([] { return the_workers().size() == 2; }));
    }
  });
}

TEST_P(exhaustion_of_processes, without_a_worker_every_call_is_told_why) {
  in_a_group([](const control_group& group) {
    {
      pool p(of(1));
      const auto sleep = [](int x) {
        ++shared[0];
        ::pause();
        return x;
      };
      auto running = p.apply_async(sleep, 1);
      auto waiting = p.map_async(twice, numbers(0, 100));
      await(0);
      ASSERT_TRUE(fill_up(group));
      ::kill(the_workers().front(), SIGKILL);
      EXPECT_THROW(running.get(seconds(20)), worker_died);
      EXPECT_THROW(waiting.get(seconds(20)), pool_broken);
      try {
        p.apply(twice, 1);
        ADD_FAILURE();
      } catch (const pool_broken& e) {
        EXPECT_EQ(refusal_of([&] { std::rethrow_if_nested(e); }), EAGAIN);
      }
    }
    EXPECT_TRUE(has_no_child());
    EXPECT_EQ(refusal_of([] { pool p(of(2)); }), EAGAIN);
    EXPECT_TRUE(has_no_child());
    ASSERT_TRUE(let_go(group));
    pool p(of(2));
    EXPECT_EQ(p.apply(twice, 1), 2);
  });
}

// The worker has ended, its successor is asked for, and refused when the pool has been closed.
TEST_P(exhaustion_of_processes, a_closed_pool_does_not_wait_for_a_worker_it_was_refused) {
  in_a_group([](const control_group& group) {
    for (int round = 0; round < 10; ++round) {
      pool p(of(1));
      EXPECT_EQ(p.apply(twice, 1), 2);
      ASSERT_TRUE(fill_up(group));
      EXPECT_THROW(p.apply([] { ::raise(SIGKILL); }), worker_died);
      p.close();
      EXPECT_TRUE(p.join_for(seconds(20)));
      ASSERT_TRUE(let_go(group));
    }
  });
}

}  // namespace
}  // namespace procpool
