// SPDX-License-Identifier: MIT
// The contract of as_completed: results one after the other, as they come.
#include <gtest/gtest.h>

#include <chrono>
#include <future>
#include <set>
#include <thread>
#include <utility>
#include <vector>

#include "procpool/procpool.h"
#include "support/board.h"
#include "support/doors.h"
#include "support/methods.h"
#include "support/samples.h"
#include "support/tasks.h"

namespace {

using namespace procpool::testing;  // NOLINT(google-build-using-namespace)
using namespace std::chrono_literals;
using procpool::as_completed;
using procpool::async_result;
using procpool::pool;
using procpool::timeout_error;
using procpool::wait_all;
using procpool::wait_any;
using procpool::wait_first_error;
using clock = std::chrono::steady_clock;

class completed : public pool_test {};
class completed_pending : public pool_test {};  // some are not there yet
PROCPOOL_EVERY_METHOD(completed);
PROCPOOL_PROCESS_METHODS(completed_pending);

TEST_P(completed, yields_continuations) {
  pool p(with());
  results rs;
  for (int i = 0; i < 5; ++i)
    rs.push_back(p.apply_async(square, i).then([](int x) { return x + 1; }));
  int sum = 0;
  for (auto& r : as_completed(rs, ages)) sum += r.get();
  EXPECT_EQ(sum, 35);
}

TEST_P(completed_pending, yields_them_as_they_come) {
  board b;
  pool p(with(4));
  results rs = pending(p, b, 4);
  b->set(2);
  ints order;
  for (auto& r : as_completed(rs, ages)) {
    order.push_back(r.get());
    // The next one ends only when this one has been seen.
    if (order.size() < 4) b->set(static_cast<std::size_t>((order.back() + 1) % 4));
  }
  EXPECT_EQ(order, (ints{2, 3, 0, 1}));
}

TEST_P(completed_pending, runs_out_of_time) {
  board b;
  pool p(with(5));
  results rs = pending(p, b, 5);
  for (const auto d : {0ms, 1ms}) {
    auto none = as_completed(rs, d);
    EXPECT_THROW(none.begin(), timeout_error);
  }
  b->set(1);
  rs[1].wait();
  ints seen;
  try {
    for (auto& r : as_completed(rs, clock::now() + 1ms)) seen.push_back(r.get());
    FAIL();
  } catch (const timeout_error& e) {
    EXPECT_STREQ(e.what(), "procpool: 4 of 5 results are unfinished");
  }
  EXPECT_EQ(seen, (ints{1}));
  open_all(b, 5);
  for (auto& r : as_completed(rs)) seen.push_back(r.get());  // again: nothing was lost
  EXPECT_EQ(sorted(seen), first(5));
}

TEST_P(completed_pending, goes_on_after_its_deadline) {
  board b;
  pool p(with(2));
  results rs = pending(p, b, 2);
  auto all = as_completed(rs, 1ms);
  EXPECT_THROW(all.begin(), timeout_error);
  EXPECT_THROW(all.begin(), timeout_error);
  b->set(1);
  rs[1].wait();
  EXPECT_EQ((*all.begin()).get(), 1);
  EXPECT_THROW(++all.begin(), timeout_error);
  b->set(0);
  rs[0].wait();
  EXPECT_EQ(all.begin()->get(), 0);
  EXPECT_TRUE(++all.begin() == all.end());
}

TEST_P(completed_pending, may_be_left_and_begun_again) {
  board b;
  pool p(with(2));
  results rs = pending(p, b, 10);
  b->set(0);
  for (auto& r : as_completed(rs)) {
    EXPECT_EQ(r.get(), 0);
    break;
  }
  open_all(b, 10);
  std::set<int> seen;
  for (auto& r : as_completed(rs)) {
    seen.insert(r.get());
    // Others may be waited for meanwhile, one or several.
    if (seen.size() == 3) wait_all(rs);
    if (seen.size() == 4) {
      for (auto& other : as_completed(rs)) EXPECT_TRUE(other.ready());
    }
  }
  EXPECT_EQ(seen.size(), 9U);
}

TEST_P(completed_pending, yields_duplicates_once) {
  board b;
  pool p(with(2));
  results rs = pending(p, b, 2);
  std::vector<async_result<int>*> twice{&rs[0], &rs[1], &rs[1], &rs[0]};
  EXPECT_EQ(wait_any(twice, 1ms), std::nullopt);
  auto waiter = std::async(std::launch::async, [&] {
    ints seen;
    for (auto& r : as_completed(twice)) seen.push_back(r.get());
    return seen;
  });
  open_all(b, 2);
  EXPECT_EQ(sorted(waiter.get()), first(2));
}

TEST_P(completed_pending, keeps_nothing_of_what_it_yielded) {
  pool p(with(2));
  std::vector<async_result<tracked>> rs;
  for (int i = 0; i < 5; ++i) rs.push_back(p.apply_async([](int x) { return tracked(x); }, i));
  wait_all(rs);
  int left = 5;
  for (auto& r : as_completed(rs)) {
    EXPECT_EQ(tracked::live(), left);
    r = {};
    --left;
    // The thread that took it in may only now be letting go of it.
    EXPECT_TRUE(eventually([&] { return tracked::live() == left; })) << tracked::live();
  }
}

// Many threads, each with its own results of the same two pools, all of which end at about the
// same time.
TEST_P(completed_pending, many_threads_at_once) {
  board b;
  pool p(with(2));
  pool q(with(1));
  std::vector<std::future<int>> waiters;
  for (int t = 0; t < 40; ++t) {
    waiters.push_back(std::async(std::launch::async, [&, t] {
      results rs;
      for (int i = 0; i < 10; ++i)
        rs.push_back((t % 2 == 0 || i % 2 == 0 ? p : q).apply_async(opens(b), 0));
      int failures = wait_first_error(rs) ? 1 : 0;
      for (auto& r : as_completed(rs)) failures += r.get();
      return failures;
    }));
  }
  b->set(0);
  for (auto& w : waiters) EXPECT_EQ(w.get(), 0);
}

// Submitted, watched, timed out, cancelled, dropped and completed, all at once.
TEST_P(completed_pending, threads_come_and_go) {
  pool p(with(2));
  pool q(with(1));
  std::vector<std::future<int>> threads;
  for (int t = 0; t < 6; ++t) {
    threads.push_back(std::async(std::launch::async, [&, t] {
      int bad = 0;
      for (int round = 0; round < 30; ++round) {
        results rs;
        for (int i = 0; i < 12; ++i)
          rs.push_back(((t + i) % 3 == 0 ? q : p).apply_async(square, i));
        if (round % 3 == 0) static_cast<void>(wait_any(rs, std::chrono::microseconds(50)));
        if (round % 4 == 0) rs[11].cancel();
        if (round % 5 == 0) {
          auto left_early = as_completed(rs);
          left_early.begin();
        }
        std::set<const void*> seen;
        try {
          for (auto& r : as_completed(rs, std::chrono::microseconds(200))) {
            seen.insert(&r);
            bad += r.ready() ? 0 : 1;
          }
        } catch (const timeout_error&) {
        }
        if (round % 7 == 0) continue;  // dropped, some of them pending
        wait_all(rs);
        for (int i = 0; i < 12; ++i) {
          try {
            bad += rs[static_cast<std::size_t>(i)].get() == i * i ? 0 : 1;
          } catch (const procpool::task_cancelled&) {
            bad += i == 11 ? 0 : 1;
          }
        }
      }
      return bad;
    }));
  }
  for (auto& t : threads) EXPECT_EQ(t.get(), 0);
}

// Watching costs each result a step, not each result all of them.
TEST_P(completed_pending, thousands_are_no_more_work_than_their_number) {
  pool p(with(2));
  results rs;
  rs.reserve(20000);
  for (int i = 0; i < 20000; ++i) rs.push_back(p.apply_async(square, i % 10));
  int n = 0;
  for (auto& r : as_completed(rs, ages)) n += r.get() < 100 ? 1 : 0;
  EXPECT_EQ(n, 20000);
}

}  // namespace
