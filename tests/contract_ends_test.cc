// SPDX-License-Identifier: MIT
// The contract of a pool that ends while tasks are pending.
#include <gtest/gtest.h>
#include <unistd.h>
#include <chrono>
#include <future>
#include <set>
#include <stdexcept>
#include <thread>
#include <vector>
#include "procpool/procpool.h"
#include "support/board.h"
#include "support/methods.h"
#include "support/samples.h"
#include "support/tasks.h"

namespace {

using namespace procpool::testing;  // NOLINT(google-build-using-namespace)
using namespace std::chrono_literals;
using procpool::async_result;
using procpool::pool;

using clock = std::chrono::steady_clock;

class ends : public pool_test {};
PROCPOOL_PROCESS_METHODS(ends);

TEST_P(ends, join_for_gives_up_in_time) {
  board b;
  pool p(with(1));
  auto r = p.apply_async(waits(b), 1);
  p.close();
  EXPECT_FALSE(p.join_for(0s));
  EXPECT_FALSE(p.join_for(20ms));
  b->set(0);
  EXPECT_TRUE(p.join_for(ages));
  EXPECT_EQ(r.get(), 1);
}

TEST_P(ends, close_alone_is_enough) {
  board b;
  std::vector<async_result<int>> all;
  pool p(with(2));
  for (int i = 0; i < 20; ++i) all.push_back(p.apply_async(waits(b), i));
  p.close();
  b->set(0);
  for (int i = 0; i < 20; ++i) EXPECT_EQ(all[static_cast<std::size_t>(i)].get(ages), i);
  EXPECT_TRUE(eventually(no_child_is_left));  // nobody joined: they left by themselves
}

TEST_P(ends, ten_thousand_long_tasks_are_terminated_promptly) {
  board b;
  pool p(with(2));
  auto forever = [m = b.here()](int) {
    m.add(0);
    for (;;) ::pause();
  };
  std::vector<async_result<void>> all;
  for (int i = 0; i < 10'000; ++i) all.push_back(p.apply_async(forever, i));
  b->await(0, 2);
  const auto start = clock::now();
  p.terminate();
  p.join();
  EXPECT_LT(clock::now() - start, 10s);
  for (auto& r : all) {
    ASSERT_TRUE(r.ready());
    EXPECT_THROW(r.get(), procpool::pool_terminated);
  }
  EXPECT_TRUE(no_child_is_left());
}

TEST_P(ends, an_exception_that_unwinds_terminates) {
  board b;
  async_result<int> stuck;
  const auto start = clock::now();
  try {
    pool p(with(2));
    stuck = p.apply_async(waits(b), 1);
    b->await(1);
    throw std::runtime_error("unwinding");
  } catch (const std::runtime_error&) {
  }
  EXPECT_LT(clock::now() - start, 20s);
  EXPECT_THROW(stuck.get(), procpool::pool_terminated);
}

TEST_P(ends, terminate_after_close_ends_the_wait) {
  board b;
  pool p(with(1));
  auto r = p.apply_async(waits(b), 1);
  b->await(1);
  p.close();
  auto joiner = std::async(std::launch::async, [&] { p.join(); });
  EXPECT_EQ(joiner.wait_for(10ms), std::future_status::timeout);
  p.terminate();
  EXPECT_EQ(joiner.wait_for(ages), std::future_status::ready);
  joiner.get();
  EXPECT_THROW(r.get(), procpool::pool_terminated);
}

TEST_P(ends, terminate_wakes_those_who_wait) {
  board b;
  pool p(with(1));
  auto forever = [m = b.here()](int) {
    m.add(0);
    for (;;) ::pause();
  };
  std::vector<std::future<void>> waiting;
  for (int i = 0; i < 4; ++i) {
    waiting.push_back(std::async(std::launch::async, [&, i] {
      if (i == 0) {
        EXPECT_THROW(p.apply(forever, 1), procpool::pool_terminated);
      }
      if (i == 1) {
        EXPECT_THROW(p.apply_async(forever, 1).get(), procpool::pool_terminated);
      }
      if (i == 2) {
        EXPECT_THROW(p.map(forever, first(10)), procpool::pool_terminated);
      }
      if (i == 3) {
        EXPECT_THROW(p.imap({.buffersize = 1}, forever, first(10)).next(),
                     procpool::pool_terminated);
      }
    }));
  }
  b->await(0);
  // All of 1 + 1 + 10 + 1 items: who submits after the end gets pool_closed.
  EXPECT_TRUE(eventually([&] { return p.stats().submitted == 13; }, 20s));
  for (auto& w : waiting) EXPECT_EQ(w.wait_for(1ms), std::future_status::timeout);
  std::thread([&] { p.terminate(); }).join();
  for (auto& w : waiting) w.get();
  p.join();
}

TEST_P(ends, a_terminated_task_does_nothing_more) {
  board b;
  pool p(with(1));
  auto r = p.apply_async([m = b.here()] {
    m.add(1);
    m.await(0);
    m.add(2);
  });
  b->await(1);
  p.terminate();
  p.join();
  b->set(0);
  EXPECT_THROW(r.get(), procpool::pool_terminated);
  EXPECT_EQ(b->at(2), 0);
}

TEST_P(ends, a_finished_result_survives_terminate) {
  board b;
  pool p(with(2));
  auto good = p.apply_async(square, 3);
  good.wait();
  auto stuck = p.apply_async(waits(b), 1);
  p.terminate();
  EXPECT_EQ(good.get(), 9);
  EXPECT_THROW(stuck.get(ages), procpool::pool_terminated);
  p.join();
}

TEST_P(ends, a_saturated_pool_has_as_many_processes_as_it_says) {
  board b;
  pool p(with(3));
  std::vector<async_result<int>> all;
  for (int i = 0; i < 45; ++i) {
    all.push_back(p.apply_async([m = b.here()] {
      m.add(1);
      m.await(0);
      return static_cast<int>(::getpid());
    }));
  }
  b->await(1, 3);
  EXPECT_EQ(b->at(1), 3);  // every worker is in its first task, and there is no fourth
  b->set(0);
  std::set<int> pids;
  for (auto& r : all) pids.insert(r.get());
  EXPECT_EQ(pids.size(), 3U);
}

TEST_P(ends, pending_arguments_are_released_by_terminate) {
  board b;
  pool p(with(1));
  auto stuck = p.apply_async(waits(b), 1);
  std::vector<async_result<tracked>> all;
  for (int i = 0; i < 20; ++i)
    all.push_back(p.apply_async([](const tracked& t) { return t; }, tracked(i)));
  p.terminate();
  p.join();
  for (auto& r : all) EXPECT_THROW(r.get(), procpool::pool_terminated);
  EXPECT_EQ(tracked::live(), 0);
}

}  // namespace
