// SPDX-License-Identifier: MIT
// Workers killed from outside: idle, busy, one, all, again and again, and while the pool ends.
#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>
#include <numeric>
#include <random>
#include <thread>
#include <vector>

#include "procpool/procpool.h"
#include "support/fork_test.h"

namespace procpool {
namespace {

using namespace testing;  // NOLINT: this file is about what stands there
using testing::shared;    // not the handle

class failure_replace : public process_test {};

int twice(int x) { return 2 * x; }

std::vector<int> numbers(int n) {
  std::vector<int> all(static_cast<std::size_t>(n));
  std::iota(all.begin(), all.end(), 0);
  return all;
}

/// Every worker is there, none of them of `before`.
bool all_replaced(const std::vector<pid_t>& before) {
  const auto now = the_workers();
  return now.size() == before.size() && std::none_of(now.begin(), now.end(), [&](pid_t each) {
           return std::find(before.begin(), before.end(), each) != before.end() || !is_alive(each);
         });
}

PROCPOOL_PROCESS_METHODS(failure_replace);

// Complaint 2: killed while idle it holds the queue's lock, and the pool is dead.
TEST_P(failure_replace, IdleOnesAreReplacedWithoutAnyCall) {
  pool p(of(3));
  p.map(twice, numbers(100));
  for (int round = 0; round < 3; ++round) {
    const auto before = the_workers();
    ASSERT_EQ(before.size(), 3U);
    for (pid_t each : before) ::kill(each, SIGKILL);
    EXPECT_TRUE(eventually([&] { return all_replaced(before); }));
    EXPECT_EQ(p.map({.chunksize = 1}, twice, numbers(100)).back(), 198);
  }
}

TEST_P(failure_replace, KilledBeforeItsFirstTask) {
  for (int round = 0; round < 10; ++round) {
    pool p(of(2));
    ::kill(the_workers().front(), SIGKILL);
    EXPECT_EQ(p.map(twice, numbers(50)).back(), 98);
  }
}

TEST_P(failure_replace, CallsRightAfterAKillSucceed) {
  pool p(of(2));
  for (int round = 0; round < 50; ++round) {
    p.apply(twice, 1);
    const auto workers = the_workers();
    // Idle, and to be seen dead only by the next call, or in the middle of it: nothing was running.
    for (pid_t each : workers) ::kill(each, SIGKILL);
    try {
      EXPECT_EQ(p.apply(twice, round), 2 * round);
    } catch (const worker_died& e) {
      // SIGKILL is asynchronous: the worker may have taken this very task first.
      EXPECT_EQ(e.signal(), SIGKILL);
    }
  }
}

TEST_P(failure_replace, AllBusyOnesAtOnce) {
  pool p(of(3));
  std::vector<async_result<int>> running;
  for (int i = 0; i < 3; ++i)
    running.push_back(p.apply_async(
        [](int) -> int {
          ++shared[0];
          for (;;) ::pause();
        },
        i));
  auto queued = p.map_async(twice, numbers(1000));
  await(0, 3);
  for (pid_t each : the_workers()) ::kill(each, SIGBUS);
  for (auto& r : running) {
    const auto e = thrown_by<worker_died>([&] { return r.get(seconds(30)); });
    EXPECT_EQ(e.signal(), SIGBUS);
  }
  EXPECT_EQ(queued.get(seconds(30)).back(), 1998);
}

TEST_P(failure_replace, ManyUnderLoad) {
  constexpr int items = 4000;
  constexpr int kills = 40;
  pool p(of(3));
  p.apply(twice, 0);
  const pid_t zygote = the_zygote();
  std::atomic<bool> over{false};
  std::thread killer([&] {
    std::mt19937 random(7);
    for (int k = 0; k < kills && !over; ++k) {
      ::usleep(3000);
      if (const auto all = children_of(zygote); !all.empty())
        ::kill(all[random() % all.size()], SIGKILL);
    }
  });
  const auto all = p.try_map(
      {.chunksize = 100},
      [](int x) {
        ++shared[static_cast<std::size_t>(x)];
        const auto end = steady::now() + std::chrono::microseconds(50);
        while (steady::now() < end) {
        }
        return 2 * x;
      },
      numbers(items));
  over = true;
  killer.join();
  int died = 0;
  for (int i = 0; i < items; ++i) {
    const auto& o = all[static_cast<std::size_t>(i)];
    EXPECT_LE(shared[static_cast<std::size_t>(i)].load(), 1);
    if (o) {
      EXPECT_EQ(*o, 2 * i);
      EXPECT_EQ(shared[static_cast<std::size_t>(i)].load(), 1);
    } else {
      EXPECT_EQ(thrown_by<worker_died>(o.error()).index(), static_cast<std::size_t>(i));
      ++died;
    }
  }
  EXPECT_LE(died, kills);
  EXPECT_EQ(p.map(twice, numbers(100)).back(), 198);
}

TEST_P(failure_replace, KilledWhileThePoolIsClosed) {
  pool p(of(2));
  auto doomed = p.apply_async(
      [](int) -> int {
        shared[0] = ::getpid();
        for (;;) ::pause();
      },
      0);
  auto rest = p.map_async({.chunksize = 1}, twice, numbers(200));
  await(0);
  p.close();
  ::kill(shared[0], SIGKILL);
  p.join();
  EXPECT_THROW(doomed.get(seconds(30)), worker_died);
  EXPECT_EQ(rest.get(seconds(30)).back(), 398);
}

TEST_P(failure_replace, KilledWhileItLeaves) {
  for (int round = 0; round < 20; ++round) {
    pool p(of(2));
    auto r = p.map_async({.chunksize = 1}, twice, numbers(50));
    const auto workers = the_workers();
    p.close();
    r.wait();
    for (pid_t each : workers) ::kill(each, SIGKILL);
    p.join();
    EXPECT_TRUE(r.ready());
  }
}

}  // namespace
}  // namespace procpool
