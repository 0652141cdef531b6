// SPDX-License-Identifier: MIT
// terminate(): from anywhere, at any time, against workers that do not want to go; in bounded time.
#include <gtest/gtest.h>

#include <atomic>
#include <csignal>
#include <future>
#include <memory>
#include <stdexcept>
#include <thread>
#include <vector>

#include "procpool/procpool.h"
#include "support/fork_test.h"

namespace procpool {
namespace {

using namespace testing;  // NOLINT: this file is about what stands there
using testing::shared;    // not the handle

constexpr seconds bound{1};

int twice(int x) { return 2 * x; }
int for_ever(int) {
  ++shared[0];
  for (;;) ::pause();
}

class failure_terminate : public process_test {
 protected:
  /// Two workers in `stubborn`, more work behind them; then the end.
  template <class F>
  static void expect_quick_end(F stubborn, void (*when_busy)()) {
    pool p(of(2));
    std::vector<async_result<int>> running;
    for (int i = 0; i < 2; ++i) running.push_back(p.apply_async(stubborn, i));
    await(0, 2);
    auto queued = p.map_async({.chunksize = 10}, twice, std::vector<int>(1000, 1));
    auto stream = p.imap(twice, std::vector<int>(1000, 1));
    when_busy();
    const auto start = steady::now();
    p.terminate();
    const auto told = steady::now();
    p.join();
    const auto over = steady::now();
    EXPECT_LT(told - start, bound);
    EXPECT_LT(over - start, bound);
    for (auto& r : running) EXPECT_THROW(r.get(seconds(0)), pool_terminated);
    EXPECT_THROW(queued.get(seconds(0)), pool_terminated);
    EXPECT_THROW(static_cast<void>(stream.next(seconds(0))), pool_terminated);
    EXPECT_TRUE(has_no_child());
  }
};

PROCPOOL_PROCESS_METHODS(failure_terminate);

// Complaint 8: terminate() hangs, or deadlocks with whoever else uses the pool.
TEST_P(failure_terminate, WorkersThatSleep) {
  expect_quick_end(for_ever, [] {});
}

TEST_P(failure_terminate, WorkersThatSpin) {
  expect_quick_end(
      [](int) -> int {
        ++shared[0];
        for (volatile unsigned n = 0;;) n = n + 1;
      },
      [] {});
}

TEST_P(failure_terminate, WorkersThatIgnoreSignals) {
  expect_quick_end(
      [](int) -> int {
        for (int s = 1; s < NSIG; ++s) ::signal(s, SIG_IGN);
        return for_ever(0);
      },
      [] {});
}

TEST_P(failure_terminate, WorkersThatBlockSignals) {
  expect_quick_end(
      [](int) -> int {
        sigset_t all;
        sigfillset(&all);
        ::sigprocmask(SIG_SETMASK, &all, nullptr);
        return for_ever(0);
      },
      [] {});
}

TEST_P(failure_terminate, WorkersThatAreStopped) {
  expect_quick_end(for_ever, [] {
    for (pid_t each : the_workers()) ::kill(each, SIGSTOP);
  });
}

TEST_P(failure_terminate, WorkersInTheirInitializer) {
  auto o = of(2);
  o.initializer = task(for_ever, 0);
  pool p(o);
  auto r = p.apply_async(twice, 1);
  await(0, 2);
  const auto start = steady::now();
  p.terminate();
  p.join();
  EXPECT_LT(steady::now() - start, bound);
  EXPECT_THROW(r.get(seconds(0)), pool_terminated);
}

TEST_P(failure_terminate, AStoppedZygoteOnlyDelaysIt) {
  pool p(of(1));
  auto r = p.apply_async(for_ever, 1);
  await(0);
  ::kill(the_zygote(), SIGSTOP);
  p.terminate();
  EXPECT_THROW(r.get(seconds(0)), pool_terminated);
  EXPECT_TRUE(p.join_for(seconds(20)));
  reap_orphans();
}

TEST_P(failure_terminate, AStoppedZygoteOnlyDelaysWhoeverJoinsAlready) {
  pool p(of(1));
  auto r = p.apply_async(for_ever, 1);
  await(0);
  p.close();
  std::atomic<pid_t> joining{0};
  auto over = std::async(std::launch::async, [&] {
    joining = ::gettid();
    return p.join_for(seconds(20));
  });
  EXPECT_TRUE(eventually([&] { return joining != 0 && state_of(joining) == 'S'; }));
  ::kill(the_zygote(), SIGSTOP);
  const auto start = steady::now();
  p.terminate();
  EXPECT_TRUE(over.get());
  EXPECT_LT(steady::now() - start, seconds(10));
  reap_orphans();
}

TEST_P(failure_terminate, FromAnotherThreadWhileGetWaits) {
  pool p(of(2));
  auto r = p.apply_async(for_ever, 1);
  std::thread other([&] {
    await(0);
    p.terminate();
  });
  EXPECT_THROW(r.get(), pool_terminated);
  other.join();
  p.join();
}

TEST_P(failure_terminate, FromAnotherThreadWhileApplyAndMapWait) {
  pool p(of(2));
  std::thread apply([&] { EXPECT_THROW(p.apply(for_ever, 1), pool_terminated); });
  await(0);
  std::thread map([&] {
    EXPECT_THROW(p.map({.chunksize = 1}, for_ever, std::vector<int>{1, 2, 3}), pool_terminated);
  });
  await(0, 2);
  p.terminate();
  apply.join();
  map.join();
}

TEST_P(failure_terminate, FromACallback) {
  pool p(of(2));
  auto running = p.apply_async(for_ever, 1);
  auto r = p.apply_async(twice, 1).then([&](int x) {
    p.terminate();
    return x;
  });
  EXPECT_EQ(r.get(seconds(30)), 2);
  EXPECT_THROW(running.get(seconds(30)), pool_terminated);
  p.join();
}

// Complaint 8 again: the pool's own thread must not wait for itself.
TEST_P(failure_terminate, JoinFromACallbackIsRefused) {
  pool p(of(2));
  auto running = p.apply_async(
      [](int x) {
        await(1);
        return x;
      },
      1);
  auto r = p.apply_async(twice, 1).then([&](int) {
    p.close();
    p.join();
  });
  EXPECT_THROW(r.get(seconds(30)), std::logic_error);
  shared[1] = 1;
  EXPECT_EQ(running.get(seconds(30)), 1);
}

TEST_P(failure_terminate, PendingCallbacksRun) {
  pool p(of(1));
  std::atomic<int> called{0};
  auto r = p.apply_async(for_ever, 1)
               .then([](int x) { return x; },
                     [&](const std::exception_ptr& e) {
                       EXPECT_THROW(std::rethrow_exception(e), pool_terminated);
                       return ++called;
                     });
  p.terminate();
  EXPECT_EQ(r.get(seconds(30)), 1);
}

TEST_P(failure_terminate, TwiceAndAfterCloseAndBeforeClose) {
  {
    pool p(of(2));
    p.terminate();
    p.terminate();
    p.close();
    p.join();
    p.terminate();
    p.join();
  }
  {
    pool p(of(2));
    auto r = p.apply_async(for_ever, 1);
    p.close();
    p.terminate();
    p.join();
    EXPECT_THROW(r.get(seconds(0)), pool_terminated);
  }
}

TEST_P(failure_terminate, RacingSubmits) {
  for (int round = 0; round < 10; ++round) {
    pool p(of(2));
    std::atomic<int> submitted{0};
    auto submit = [&] {
      std::vector<async_result<int>> mine;
      try {
        for (int i = 0;; ++i) {
          mine.push_back(p.apply_async(twice, i));
          ++submitted;
        }
      } catch (const pool_closed&) {
      }
      for (std::size_t i = 0; i < mine.size(); ++i) {
        try {
          EXPECT_EQ(mine[i].get(seconds(30)), static_cast<int>(2 * i));
        } catch (const pool_terminated&) {
        }
      }
    };
    auto map = [&] {
      try {
        for (;;) EXPECT_EQ(p.map(twice, std::vector<int>(100, 1)).size(), 100U);
      } catch (const pool_closed&) {
      } catch (const pool_terminated&) {
      }
    };
    std::thread a(submit);
    std::thread b(map);
    while (submitted < 100) std::this_thread::yield();
    p.terminate();
    a.join();
    b.join();
    p.join();
  }
}

// Complaints 9 and 10: what becomes of the pool when nobody ends it.
TEST_P(failure_terminate, AnExceptionThroughThePoolsScopeTerminatesIt) {
  async_result<int> r;
  const auto start = steady::now();
  try {
    pool p(of(1));
    r = p.apply_async(for_ever, 1);
    await(0);
    throw std::runtime_error("unwinding");
  } catch (const std::runtime_error&) {
  }
  EXPECT_LT(steady::now() - start, seconds(20));
  EXPECT_THROW(r.get(seconds(0)), pool_terminated);
}

TEST_P(failure_terminate, TheDestructorFinishesWhatWasSubmitted) {
  async_result<std::vector<int>> r;
  {
    pool p(of(2));
    r = p.map_async({.chunksize = 1}, twice, std::vector<int>(500, 4));
  }
  ASSERT_TRUE(r.ready());
  EXPECT_EQ(r.get(), std::vector<int>(500, 8));
}

template <class F>
void expect_each_refuses(pool& p, F check) {
  const std::vector<int> xs{1, 2};
  const std::vector<std::tuple<int>> ts{{1}, {2}};
  check([&] { p.apply(twice, 1); });
  check([&] { static_cast<void>(p.apply_async(twice, 1)); });
  check([&] { p.map(twice, xs); });
  check([&] { static_cast<void>(p.map_async(twice, xs)); });
  check([&] { p.starmap(twice, ts); });
  check([&] { static_cast<void>(p.starmap_async(twice, ts)); });
  check([&] { p.try_map(twice, xs); });
  check([&] { p.imap(twice, xs).next(); });
  check([&] { p.imap_unordered(twice, xs).next(); });
}

TEST_P(failure_terminate, NothingCanBeSubmittedAfterwards) {
  for (bool now : {false, true}) {
    pool p(of(2));
    if (now)
      p.terminate();
    else
      p.close();
    expect_each_refuses(p, [](auto call) { EXPECT_THROW(call(), pool_closed); });
    p.join();
    expect_each_refuses(p, [](auto call) { EXPECT_THROW(call(), pool_closed); });
  }
}

// ---- another process ----------------------------------------------------------------------------

TEST_P(failure_terminate, InAForkedCopyEverythingIsRefusedAndNothingIsHarmed) {
  auto p = std::make_unique<pool>(of(2));
  auto pending = p->apply_async(
      [](int) -> int {
        await(1);
        return 5;
      },
      0);
  auto stream = p->imap(
      {.buffersize = 2},
      [](int x) {
        await(1);
        return x;
      },
      std::vector<int>{1, 2, 3, 4});
  EXPECT_TRUE(in_a_child([&] {
    bool good = true;
    const auto refused = [&](auto call) {
      try {
        call();
        good = false;
      } catch (const wrong_process&) {
      }
    };
    expect_each_refuses(*p, refused);
    refused([&] { p->close(); });
    refused([&] { p->join(); });
    refused([&] { static_cast<void>(p->join_for(seconds(0))); });
    refused([&] { pending.wait(); });
    refused([&] { static_cast<void>(pending.wait_for(seconds(0))); });
    refused([&] { pending.get(seconds(1)); });
    refused([&] { pending.cancel(); });
    refused([&] { static_cast<void>(stream.next()); });
    refused([&] { p->terminate(); });
    { const auto dropped = std::move(stream); }
    { const auto dropped = std::move(pending); }
    refused([&] { static_cast<void>(p->apply_async(twice, 1).then([](int x) { return x; })); });
    p.reset();
    return good;
  }));
  shared[1] = 1;
  EXPECT_EQ(pending.get(seconds(30)), 5);
  int sum = 0;
  for (int x : stream) sum += x;
  EXPECT_EQ(sum, 10);
  EXPECT_EQ(p->map(twice, std::vector<int>{1, 2}), (std::vector<int>{2, 4}));
}

#ifndef __SANITIZE_THREAD__  // which cannot follow a thread that a forked child starts
TEST_P(failure_terminate, AForkedCopyMayHaveAPoolOfItsOwn) {
  pool p(of(2));
  EXPECT_TRUE(in_a_child([] {
    pool mine(2);
    return mine.apply(twice, 4) == 8;
  }));
  EXPECT_EQ(p.apply(twice, 3), 6);
}
#endif

}  // namespace
}  // namespace procpool
