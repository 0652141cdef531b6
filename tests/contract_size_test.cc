// SPDX-License-Identifier: MIT
// The contract of how many workers there are, and how old they get: resize, idle_timeout,
// max_worker_age. Workers are counted from outside, as the system's processes.
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <future>
#include <map>
#include <set>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "procpool/procpool.h"
#include "support/board.h"
#include "support/fork_test.h"
#include "support/methods.h"
#include "support/tasks.h"

namespace {

using namespace procpool::testing;  // NOLINT(google-build-using-namespace)
using namespace std::chrono_literals;
using procpool::async_result;
using procpool::pool;
using procpool::pool_options;
using procpool::start_method;

class size : public pool_test {};
class size_far : public pool_test {};
PROCPOOL_EVERY_METHOD(size);
PROCPOOL_PROCESS_METHODS(size_far);

int own_pid() { return static_cast<int>(::getpid()); }

/// As the kernel counts them.
std::set<int> workers_alive() {
  std::set<int> all;
  for (const pid_t pid : the_workers())
    if (is_alive(pid)) all.insert(pid);
  return all;
}

bool count_becomes(std::size_t n) {
  return eventually([n] { return workers_alive().size() == n; }, ages);
}

/// So many items at once, each in a worker of its own.
bool run_side_by_side(pool& p, int n) {
  board b;
  std::vector<async_result<int>> all;
  for (int i = 0; i < n; ++i) all.push_back(p.apply_async(waits(b), i));
  const bool met = eventually([&] { return b->at(1) == n; }, ages);
  b->set(0);
  for (auto& r : all) r.get();
  return met;
}

// ---- resize

TEST_P(size, tells_what_it_was_given) {
  pool p(with(2));
  EXPECT_EQ(p.processes(), 2);
  p.resize(5);
  EXPECT_EQ(p.processes(), 5);
  EXPECT_NE(p.to_string().find("processes=5"), std::string::npos) << p.to_string();
  p.resize(1);
  EXPECT_EQ(p.processes(), 1);
  EXPECT_EQ(p.map(square, first(100)), squares(100));
}

TEST_P(size, zero_is_what_a_new_pool_would_have) {
  ::setenv("PROCPOOL_PROCESSES", "3", 1);
  pool p(with(1));
  p.resize(0);
  ::unsetenv("PROCPOOL_PROCESSES");
  EXPECT_EQ(p.processes(), 3);
}

TEST_P(size, what_makes_no_sense_is_refused_and_changes_nothing) {
  pool p(with(2));
  for (int n : {-1, 4097, -1000000}) EXPECT_THROW(p.resize(n), std::invalid_argument) << n;
  EXPECT_EQ(p.processes(), 2);
  EXPECT_EQ(p.apply(square, 3), 9);
}

TEST_P(size, a_closed_pool_keeps_its_size) {
  pool p(with(2));
  p.close();
  EXPECT_THROW(p.resize(3), procpool::pool_closed);
  p.join();
  pool q(with(2));
  q.terminate();
  EXPECT_THROW(q.resize(3), procpool::pool_closed);
  EXPECT_EQ(q.processes(), 2);
}

TEST_P(size_far, up_and_down_and_up_again) {
  pool p(with(1));
  ASSERT_TRUE(count_becomes(1));
  p.resize(4);
  ASSERT_TRUE(count_becomes(4));
  EXPECT_TRUE(run_side_by_side(p, 4));
  p.resize(2);
  ASSERT_TRUE(count_becomes(2));
  EXPECT_TRUE(run_side_by_side(p, 2));
  p.resize(3);
  ASSERT_TRUE(count_becomes(3));
  EXPECT_TRUE(run_side_by_side(p, 3));
}

TEST_P(size_far, the_idle_ones_leave_first_and_what_runs_goes_on) {
  board b;
  pool p(with(3));
  auto r = p.apply_async(
      [m = b.here()](int x) {
        m.set(2, own_pid());
        m.add(1);
        m.await(0);
        return x;
      },
      7);
  b->await(1);
  p.resize(1);
  ASSERT_TRUE(count_becomes(1));
  EXPECT_EQ(workers_alive(), std::set<int>{b->at(2)});
  b->set(0);
  EXPECT_EQ(r.get(), 7);
  EXPECT_EQ(p.apply(own_pid), b->at(2));
}

TEST_P(size_far, a_busy_one_ends_its_item_and_hands_on_what_it_has_not_begun) {
  board b;
  pool p(with(2));
  // Two items run, and the rest stands behind them, sent ahead or not.
  auto task = [m = b.here()](int x) {
    m.add(static_cast<std::size_t>(10 + x));
    m.add(1);
    m.await(0);
    return std::pair(x, own_pid());
  };
  auto r = p.map_async({.chunksize = 10}, task, first(40));
  b->await(1, 2);
  p.resize(1);
  EXPECT_EQ(workers_alive().size(), 2U) << "neither is ended in the middle of its item";
  b->set(0);
  const auto all = r.get();
  std::map<int, int> items;
  for (int i = 0; i < 40; ++i) {
    EXPECT_EQ(all[static_cast<std::size_t>(i)].first, i);
    EXPECT_EQ(b->at(static_cast<std::size_t>(10 + i)), 1) << "an item was begun twice";
    ++items[all[static_cast<std::size_t>(i)].second];
  }
  ASSERT_EQ(items.size(), 2U);
  ASSERT_TRUE(count_becomes(1));
  const int stayed = p.apply(own_pid);
  for (auto [pid, n] : items) {
    if (pid != stayed) {
      EXPECT_LT(n, 15) << "what had not been begun stayed with the one that leaves";
    }
  }
}

TEST_P(size_far, while_work_runs_nothing_is_lost_or_runs_twice) {
  constexpr int items = 20000;
  pool p(with(2));
  std::atomic<bool> over{false};
  std::thread sizer([&] {
    int n = 0;
    while (!over) {
      p.resize(1 + n++ * 5 % 7);
      ::usleep(500);
    }
  });
  for (int round = 0; round < 5; ++round) {
    EXPECT_EQ(p.map({.chunksize = 7}, square, first(items)), squares(items));
    int at = 0;
    for (int x : p.imap(square, first(500))) EXPECT_EQ(x, square(at++));
    for (int i = 0; i < 50; ++i) EXPECT_EQ(p.apply(square, i), square(i));
  }
  over = true;
  sizer.join();
}

TEST_P(size_far, one_that_leaves_runs_the_finalizer) {
  board b;
  pool_options o = with(3);
  o.finalizer = procpool::task([](const marks& m) { m.add(3); }, b.here());
  pool p(o);
  EXPECT_TRUE(run_side_by_side(p, 3));
  p.resize(1);
  EXPECT_TRUE(eventually([&] { return b->at(3) == 2; }, ages));
  ASSERT_TRUE(count_becomes(1));
  p.close();
  p.join();
  EXPECT_EQ(b->at(3), 3);
}

TEST_P(size_far, a_death_is_made_good_at_the_new_size) {
  pool p(with(3));
  p.resize(2);
  ASSERT_TRUE(count_becomes(2));
  for (int pid : workers_alive()) ::kill(pid, SIGKILL);
  EXPECT_TRUE(run_side_by_side(p, 2));
  ASSERT_TRUE(count_becomes(2));
}

// One that leaves may be long at its last item, and is nobody's worker any more.
TEST_P(size_far, a_death_beside_one_that_leaves_is_made_good_at_once) {
  board b;
  pool p(with(2));
  auto one = p.apply_async(waits(b), 1);
  auto other = p.apply_async(waits(b), 2);
  b->await(1, 2);
  p.resize(1);
  for (const procpool::worker_info& w : p.workers())
    if (w.state != procpool::worker_state::leaving) ::kill(w.pid, SIGKILL);
  EXPECT_EQ(p.apply_async(square, 3).get(ages), 9);
  b->set(0);
}

// What it still runs when it is told to leave may end it: that is told as ever.
TEST_P(size_far, one_that_dies_while_it_leaves_is_told_with_all_that_is_known) {
  board b;
  pool p(with(1));
  auto r = p.apply_async([m = b.here()] {
    m.add(1);
    m.await(0);
    ::raise(SIGSEGV);
  });
  auto q = p.apply_async([m = b.here()] {
    m.add(1);
    m.await(0);
    ::_exit(0);
  });
  b->await(1);
  p.resize(2);
  b->await(1, 2);
  p.resize(1);
  b->set(0);
  try {
    r.get();
    ADD_FAILURE();
  } catch (const procpool::worker_died& e) {
    EXPECT_EQ(e.signal(), SIGSEGV);
    EXPECT_FALSE(e.stack().empty());
  }
  try {
    q.get();
    ADD_FAILURE();
  } catch (const procpool::worker_died& e) {
    EXPECT_EQ(e.cause(), procpool::worker_died::cause_type::exited);
    EXPECT_EQ(e.exit_code(), 0);
  }
  EXPECT_EQ(p.apply(square, 3), 9);
}

TEST_P(size_far, close_and_terminate_end_what_resize_has_begun) {
  for (const bool now : {false, true}) {
    pool p(with(2));
    p.resize(6);
    p.resize(3);
    auto r = p.map_async(square, first(100));
    if (now)
      p.terminate();
    else
      p.close();
    EXPECT_TRUE(p.join_for(ages));
    if (!now) {
      EXPECT_EQ(r.get(), squares(100));
    }
  }
}

// ---- idle_timeout

TEST_P(size_far, idle_workers_leave_down_to_the_least_and_come_back) {
  pool_options o = with(4);
  o.idle_timeout = 20ms;
  o.min_processes = 1;
  pool p(o);
  for (int round = 0; round < 3; ++round) {
    ASSERT_TRUE(count_becomes(1));
    EXPECT_EQ(p.processes(), 4);
    EXPECT_TRUE(run_side_by_side(p, 4));
  }
}

TEST_P(size_far, to_nobody_and_back) {
  pool_options o = with(2);
  o.idle_timeout = 10ms;
  pool p(o);
  for (int round = 0; round < 3; ++round) {
    ASSERT_TRUE(count_becomes(0));
    EXPECT_EQ(p.apply(square, 5), 25);
    EXPECT_EQ(p.map(square, first(1000)), squares(1000));
    auto r = p.apply_async(square, 6).then([](int x) { return x + 1; });
    EXPECT_EQ(r.get(), 37);
  }
  ASSERT_TRUE(count_becomes(0));
}

TEST_P(size_far, a_pool_that_has_shrunk_to_nobody_can_be_ended) {
  for (const bool now : {false, true}) {
    pool_options o = with(2);
    o.idle_timeout = 1ms;
    pool p(o);
    ASSERT_TRUE(count_becomes(0));
    if (now)
      p.terminate();
    else
      p.close();
    EXPECT_TRUE(p.join_for(ages));
  }
}

TEST_P(size_far, who_works_is_not_idle) {
  board b;
  pool_options o = with(3);
  o.idle_timeout = 1ms;
  pool p(o);
  auto r = p.apply_async(waits(b), 7);
  b->await(1);
  ASSERT_TRUE(count_becomes(1));
  b->set(0);
  EXPECT_EQ(r.get(), 7);
  ASSERT_TRUE(count_becomes(0));
}

// As many as there is work for, not more.
TEST_P(size_far, one_call_at_a_time_needs_one_worker) {
  pool_options o = with(4);
  o.idle_timeout = 50ms;
  pool p(o);
  EXPECT_TRUE(run_side_by_side(p, 4));
  ASSERT_TRUE(count_becomes(0));
  std::set<int> pids;
  for (int i = 0; i < 50; ++i) pids.insert(p.apply(own_pid));
  EXPECT_LE(workers_alive().size(), 1U);
}

TEST_P(size_far, workers_that_came_back_are_initialized) {
  board b;
  pool_options o = with(1);
  o.idle_timeout = 5ms;
  o.initializer = procpool::task([](const marks& m) { m.add(3); }, b.here());
  pool p(o);
  EXPECT_EQ(p.apply(square, 1), 1);
  ASSERT_TRUE(count_becomes(0));
  EXPECT_EQ(p.apply(square, 2), 4);
  EXPECT_EQ(b->at(3), 2);
}

// ---- max_worker_age

TEST_P(size_far, workers_are_replaced_at_their_age) {
  pool_options o = with(2);
  o.max_worker_age = 30ms;
  pool p(o);
  const std::set<int> first_ones = workers_alive();
  EXPECT_TRUE(eventually(
      [&] {
        const auto now = workers_alive();
        return now.size() == 2 &&
               std::ranges::none_of(now, [&](int pid) { return first_ones.contains(pid); });
      },
      ages));
  EXPECT_EQ(p.map(square, first(100)), squares(100));
}

TEST_P(size_far, in_the_middle_of_a_chunk_too_and_nothing_is_lost) {
  board b;
  pool_options o = with(2);
  o.max_worker_age = 5ms;
  pool p(o);
  constexpr int items = 800;
  constexpr std::size_t workers = 900;  // that have begun with an item
  const auto task = [m = b.here()](int x) {
    static const int worker = ++m[workers];
    m.add(static_cast<std::size_t>(x));
    // There is work until somebody is replaced, however long the machine takes for that.
    if (worker <= 2 && m.at(workers) <= 2) ::usleep(10'000);
    return std::pair(x, own_pid());
  };
  std::set<int> pids;
  const auto all = p.map({.chunksize = 400}, task, first(items));
  for (int i = 0; i < items; ++i) {
    EXPECT_EQ(all[static_cast<std::size_t>(i)].first, i);
    EXPECT_EQ(b->at(static_cast<std::size_t>(i)), 1);
    pids.insert(all[static_cast<std::size_t>(i)].second);
  }
  EXPECT_GT(pids.size(), 2U) << "4 s of work, and nobody was replaced";
}

TEST_P(size_far, the_old_leave_one_after_the_other) {
  board b;
  pool_options o = with(2);
  o.max_worker_age = 20ms;
  // Replacements are not ready before somebody says so.
  o.initializer = procpool::task(
      [](const marks& m) {
        if (m[4].fetch_add(1) >= 2) m.await(0);
      },
      b.here());
  pool p(o);
  ASSERT_TRUE(eventually([&] { return b->at(4) == 3; }, ages)) << "the first replacement";
  // The other one has been too old for long, and works all the same.
  std::set<int> pids;
  for (int i = 0; i < 100; ++i) {
    ::usleep(1000);
    pids.insert(p.apply(own_pid));
  }
  EXPECT_EQ(pids.size(), 1U);
  EXPECT_EQ(b->at(4), 3);
  b->set(0);
  ASSERT_TRUE(eventually([&] { return b->at(4) >= 4; }, ages)) << "the second replacement";
}

// ---- options that make no sense

TEST_P(size, options_are_checked_before_anything_is_started) {
  pool_options o = with(2);
  o.min_processes = -1;
  EXPECT_THROW(pool{o}, std::invalid_argument);
  o = with(2);
  o.idle_timeout = -1ns;
  EXPECT_THROW(pool{o}, std::invalid_argument);
  o = with(2);
  o.max_worker_age = -1ns;
  EXPECT_THROW(pool{o}, std::invalid_argument);
  o = with(2);
  o.min_processes = 7;  // more than there may be: all of them stay
  o.idle_timeout = 1ms;
  pool p(o);
  EXPECT_EQ(p.apply(square, 3), 9);
}

// A worker that leaves is no longer counted, so the next one may be started in any place.
TEST_P(size_far, a_resize_that_is_refused_leaves_no_place_behind) {
  pool_options o = with(2);
  o.idle_timeout = 1ms;
  o.finalizer = procpool::task([] { ::usleep(20'000); });
  pool p(o);
  rlimit all{};
  ::getrlimit(RLIMIT_NOFILE, &all);
  rlimit few = all;
  few.rlim_cur = 60;
  ::setrlimit(RLIMIT_NOFILE, &few);
  EXPECT_THROW(p.resize(200), std::system_error);
  ::setrlimit(RLIMIT_NOFILE, &all);
  EXPECT_EQ(p.processes(), 2);
  for (int i = 0; i < 50; ++i) {
    auto r = p.apply_async(square, i);
    EXPECT_EQ(r.get(ages), i * i);
    ::usleep(3000);  // one is idle for too long, and leaves
  }
  for (const auto& w : p.workers()) EXPECT_LT(w.place, 2);
  p.resize(8);
  EXPECT_TRUE(run_side_by_side(p, 8));
}

// ---- idle and age, of whatever runs the tasks

constexpr auto for_all_time = std::chrono::nanoseconds::max();

TEST_P(size, one_that_has_been_idle_or_is_old_is_there_for_the_next_call) {
  for (const bool idle : {true, false}) {
    pool_options o = with(1);
    (idle ? o.idle_timeout : o.max_worker_age) = 1ms;
    pool p(o);
    for (int i = 0; i < 5; ++i) {
      auto r = p.apply_async(square, i);
      EXPECT_EQ(r.get(ages), i * i);
      ::usleep(3000);  // its time is up
    }
  }
}

TEST_P(size_far, a_time_without_end_is_none) {
  for (const bool idle : {true, false}) {
    pool_options o = with(1);
    (idle ? o.idle_timeout : o.max_worker_age) = for_all_time;
    pool p(o);
    auto r = p.apply_async(own_pid);
    const int pid = r.get(ages);
    EXPECT_EQ(p.apply(own_pid), pid);
    EXPECT_EQ(p.stats().recycled, 0U);
  }
}

// ---- workers that die before they are given anything to do

TEST_P(size_far, workers_that_die_idle_again_and_again_break_the_pool_with_the_cause) {
  pool_options o = with(2);
  // A thread that the initializer has started ends the process.
  o.initializer = procpool::task([] { std::thread([] { ::raise(SIGABRT); }).detach(); });
  pool p(o);
  try {
    for (;;) {
      try {
        p.apply(square, 1);
      } catch (const procpool::worker_died&) {  // it came between
      }
      ::usleep(1000);
    }
  } catch (const procpool::pool_broken& e) {
    EXPECT_NE(std::string(e.what()).find("before"), std::string::npos) << e.what();
    EXPECT_THROW(std::rethrow_if_nested(e), procpool::worker_died);
  } catch (const procpool::initializer_failed&) {
    // It was faster than the worker's word that it is ready.
  }
}

TEST_P(size_far, idle_workers_that_are_killed_now_and_then_are_replaced) {
  pool p(with(1));
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(count_becomes(1));
    ::kill(*workers_alive().begin(), SIGTERM);
    EXPECT_EQ(p.apply(square, i), square(i));
  }
}

}  // namespace
