// SPDX-License-Identifier: MIT
// The contract of insight: what stats() counts, and what workers() tells.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <iterator>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "procpool/procpool.h"
#include "support/board.h"
#include "support/methods.h"
#include "support/tasks.h"

namespace {

using namespace procpool::testing;  // NOLINT(google-build-using-namespace)
using namespace std::chrono_literals;
using procpool::async_result;
using procpool::pool;
using procpool::pool_stats;
using procpool::worker_info;
using procpool::worker_state;

using clock = std::chrono::steady_clock;

class stats : public pool_test {};
class stats_far : public pool_test {};  // deaths, and what others do meanwhile
class workers : public pool_test {};
PROCPOOL_EVERY_METHOD(stats);
PROCPOOL_PROCESS_METHODS(stats_far);
PROCPOOL_PROCESS_METHODS(workers);

bool balanced(const pool_stats& s) {
  return s.submitted == s.done + s.failed + s.queued + s.running;
}
/// What is there of a pool that nobody waits for any more.
void expect_ended(const pool_stats& s, std::uint64_t submitted, std::uint64_t failed) {
  EXPECT_EQ(s.submitted, submitted);
  EXPECT_EQ(s.failed, failed);
  EXPECT_EQ(s.done, submitted - failed);
  EXPECT_EQ(s.queued, 0u);
  EXPECT_EQ(s.running, 0u);
}
bool reach(const pool& p, std::uint64_t pool_stats::*counter, std::uint64_t value) {
  return eventually([&] { return p.stats().*counter == value; }, 20s);
}
int odd(int x) {
  if (x % 2 == 0) throw std::domain_error("even");
  return x;
}
void crash() { ::raise(SIGKILL); }

// ---- items --------------------------------------------------------------------------------------

TEST_P(stats, a_new_pool_has_done_nothing) {
  pool p(with());
  expect_ended(p.stats(), 0, 0);
  EXPECT_EQ(p.stats().busy, 0ns);
  EXPECT_EQ(p.stats().died, 0u);
}

TEST_P(stats, every_item_of_every_kind_of_call_counts) {
  pool p(with());
  p.apply(square, 1);
  expect_ended(p.stats(), 1, 0);
  p.apply_async(square, 1).get();
  expect_ended(p.stats(), 2, 0);
  p.map(square, first(100));
  expect_ended(p.stats(), 102, 0);
  for (const either which : both) {
    auto stream = which(p, square, first(10));
    EXPECT_EQ(rest_of(stream).size(), 10u);
  }
  expect_ended(p.stats(), 122, 0);
}

TEST_P(stats, an_error_is_a_failure_of_its_item_alone) {
  pool p(with());
  EXPECT_THROW(p.apply(odd, 2), std::domain_error);
  expect_ended(p.stats(), 1, 1);
  p.try_map(odd, first(100));
  expect_ended(p.stats(), 101, 51);
  EXPECT_THROW(p.map({.chunksize = 7}, odd, first(100)), std::domain_error);
  expect_ended(p.stats(), 201, 101);
}

TEST_P(stats, what_could_not_be_submitted_was_not) {
  pool p(with());
  p.close();
  EXPECT_THROW(p.apply(square, 1), procpool::pool_closed);
  expect_ended(p.stats(), 0, 0);
}

TEST_P(stats, workers_are_busy_no_longer_than_they_were_there) {
  const auto begin = clock::now();
  pool p(with(1));
  p.apply([] { std::this_thread::sleep_for(5ms); });
  EXPECT_GE(p.stats().busy, 5ms);
  EXPECT_LE(p.stats().busy, clock::now() - begin);
}

TEST_P(stats_far, queued_and_running) {
  board b;
  pool p(with(1));
  ASSERT_TRUE(reach(p, &pool_stats::started, 1));
  std::vector<async_result<int>> all;
  for (int i = 0; i < 100; ++i) all.push_back(p.apply_async(waits(b), i));
  b->await(1);
  const pool_stats s = p.stats();
  EXPECT_EQ(s.submitted, 100u);
  EXPECT_GE(s.running, 1u);
  EXPECT_GE(s.queued, 1u);
  EXPECT_EQ(s.running + s.queued, 100u);
  b->set(0);
  for (auto& r : all) r.wait();
  expect_ended(p.stats(), 100, 0);
}

TEST_P(stats_far, a_death_costs_an_item_and_a_worker) {
  pool p(with(1));
  EXPECT_THROW(p.apply(crash), procpool::worker_died);
  expect_ended(p.stats(), 1, 1);
  EXPECT_EQ(p.stats().died, 1u);
  EXPECT_EQ(p.stats().recycled, 0u);
  EXPECT_TRUE(reach(p, &pool_stats::started, 2));
}

TEST_P(stats_far, an_item_that_is_run_again_has_one_outcome) {
  board b;
  pool p(with(1));
  p.apply({.retries = 2}, [m = b.here()] {
    m.add(0);
    if (m.at(0) < 3) crash();
  });
  expect_ended(p.stats(), 1, 0);
  EXPECT_EQ(p.stats().retried, 2u);
  EXPECT_EQ(p.stats().died, 2u);
  EXPECT_THROW(p.apply({.retries = 1}, crash), procpool::worker_died);
  expect_ended(p.stats(), 2, 1);
  EXPECT_EQ(p.stats().retried, 3u);
}

TEST_P(stats_far, a_timeout_costs_an_item_and_a_worker) {
  pool p(with(1));
  EXPECT_THROW(p.apply({.timeout = 20ms}, for_ever), procpool::task_timeout);
  expect_ended(p.stats(), 1, 1);
  EXPECT_EQ(p.stats().died, 1u);
}

TEST_P(stats_far, a_worker_at_its_quota_is_recycled) {
  auto o = with(1);
  o.max_tasks_per_child = 10;
  pool p(o);
  p.map(square, first(35));
  expect_ended(p.stats(), 35, 0);
  EXPECT_TRUE(reach(p, &pool_stats::recycled, 3));
  EXPECT_TRUE(reach(p, &pool_stats::started, 4));
  EXPECT_EQ(p.stats().died, 0u);
  p.close();
  p.join();
  EXPECT_EQ(p.stats().recycled, 3u) << "who leaves because the pool ends is not replaced";
}

TEST_P(stats_far, cancelled_items_have_failed) {
  board b;
  pool p(with(1));
  auto r = p.map_async({.chunksize = 1}, waits(b), first(50));
  b->await(1);
  EXPECT_TRUE(r.cancel());
  EXPECT_THROW(r.get(), procpool::task_cancelled);
  expect_ended(p.stats(), 50, 50);
}

TEST_P(stats_far, of_an_abandoned_stream_what_ran_to_its_end_is_done) {
  board b;
  pool p(with(1));
  {
    auto stream = p.imap({.chunksize = 1, .buffersize = 10}, waits(b), first(100));
    b->await(1);
  }
  EXPECT_TRUE(balanced(p.stats()));
  b->set(0);
  ASSERT_TRUE(eventually([&] { return p.stats().running == 0; }, 20s));
  const pool_stats s = p.stats();
  EXPECT_EQ(s.submitted, 10u);
  EXPECT_EQ(s.queued, 0u);
  EXPECT_EQ(s.done, static_cast<std::uint64_t>(b->at(1)));
}

TEST_P(stats_far, after_the_end_the_numbers_stand_still) {
  board b;
  pool p(with(2));
  p.map(square, first(10));
  std::vector<async_result<int>> all;
  for (int i = 0; i < 20; ++i) all.push_back(p.apply_async(waits(b), i));
  b->await(1);
  p.terminate();
  p.join();
  expect_ended(p.stats(), 30, 20);
  EXPECT_EQ(p.stats().died, 0u) << "the pool killed them";
  EXPECT_TRUE(p.workers().empty());
  for (auto& r : all) EXPECT_THROW(r.get(), procpool::pool_terminated);
}

// Of two pools, in turn, so that the end of one is met, too.
TEST_P(stats_far, the_sum_is_right_while_everything_races) {
  constexpr int rounds = 2;
  for (int round = 0; round < rounds; ++round) {
    board b;
    auto o = with(2);
    o.max_tasks_per_child = 50;
    pool p(o);
    std::atomic<bool> over = false;
    std::atomic<int> looks = 0;
    std::thread watcher([&] {
      while (!over) {
        const pool_stats s = p.stats();
        EXPECT_TRUE(balanced(s)) << s.submitted << ' ' << s.done << ' ' << s.failed << ' '
                                 << s.queued << ' ' << s.running;
        EXPECT_LE(s.queued, s.submitted);  // no difference has gone below zero
        EXPECT_LE(s.running, s.submitted);
        for (const worker_info& w : p.workers()) {
          EXPECT_LT(w.place, 2);
          EXPECT_GT(w.pid, 0);
          EXPECT_LT(w.index, 100u);
        }
        ++looks;
      }
    });
    auto mixed = [](int x) {
      if (x % 31 == 7) crash();
      if (x % 5 == 0) throw std::runtime_error("five");
      return x;
    };
    std::atomic<std::uint64_t> taken = 0;
    std::vector<std::thread> users;
    for (int user = 0; user < 3; ++user) {
      users.emplace_back([&, user] {
        try {
          for (int i = 0; i < 8; ++i) {
            auto r = p.map_async({.chunksize = 5, .retries = i % 2}, mixed, first(100));
            taken += 100;
            if (i % 3 == user) r.cancel();
            r.wait();
            p.apply_async(square, i)
                .then([&](int x) {
                  static_cast<void>(p.apply_async(square, x));
                  ++taken;
                })
                .wait();
            ++taken;
          }
        } catch (const procpool::pool_closed&) {      // terminated, in the second round
        } catch (const procpool::pool_terminated&) {  // in the middle of a submission
        }
      });
    }
    if (round == 1) {
      EXPECT_TRUE(eventually([&] { return p.stats().done > 200; }, 20s));
      p.terminate();
    }
    for (auto& u : users) u.join();
    EXPECT_TRUE(eventually([&] { return looks > 10; }, 20s));
    over = true;
    watcher.join();
    if (round == 0) {
      EXPECT_TRUE(eventually([&] { return p.stats().running + p.stats().queued == 0; }, 20s));
      EXPECT_EQ(p.stats().submitted, taken);
      EXPECT_GT(p.stats().died, 0u);
      EXPECT_GT(p.stats().failed, 0u);
    } else {
      p.join();
    }
    EXPECT_EQ(p.stats().running, 0u);
    EXPECT_EQ(p.stats().queued, 0u);
    EXPECT_TRUE(balanced(p.stats()));
  }
}

// ---- workers ------------------------------------------------------------------------------------

/// Its name is looked for.
struct hold_the_door {
  marks m;
  std::vector<int> operator()(int x) const {
    m.set(1);
    m.await(0);
    return {x, procpool::this_worker::pid(), procpool::this_worker::id()};
  }
};
bool all_idle(const pool& p, std::size_t n) {
  const auto all = p.workers();
  return all.size() == n && std::all_of(all.begin(), all.end(), [](const worker_info& w) {
           return w.state == worker_state::idle;
         });
}

TEST_P(workers, who_they_are) {
  const auto begin = clock::now();
  pool p(with(3));
  ASSERT_TRUE(eventually([&] { return all_idle(p, 3); }, 20s));
  std::set<int> pids;
  const auto all = p.workers();
  for (std::size_t i = 0; i < all.size(); ++i) {
    EXPECT_EQ(all[i].place, static_cast<int>(i));
    EXPECT_EQ(all[i].function, "");
    EXPECT_EQ(all[i].holds, 0u);
    EXPECT_EQ(all[i].answered, 0u);
    EXPECT_GE(all[i].since, begin);
    EXPECT_LE(all[i].since, clock::now());
    pids.insert(all[i].pid);
  }
  EXPECT_EQ(pids.size(), 3u);
  EXPECT_EQ(pids.count(p.apply(::getpid)), 1u);
}

TEST_P(workers, what_one_runs) {
  board b;
  pool p(with(2));
  ASSERT_TRUE(eventually([&] { return all_idle(p, 2); }, 20s));
  const auto begin = clock::now();
  // A minute, so that the time is that of the item.
  auto r = p.map_async({.chunksize = 3, .timeout = 60s}, hold_the_door{b.here()}, first(1));
  b->await(1);
  const auto all = p.workers();
  const auto busy = std::find_if(
      all.begin(), all.end(), [](const worker_info& w) { return w.state == worker_state::busy; });
  ASSERT_NE(busy, all.end());
  EXPECT_NE(busy->function.find("hold_the_door"), std::string::npos) << busy->function;
  EXPECT_EQ(busy->index, 0u);
  EXPECT_EQ(busy->holds, 1u);
  EXPECT_GE(busy->since, begin);
  EXPECT_LE(busy->since, clock::now());
  b->set(0);
  const std::vector<int> said = r.get().front();
  EXPECT_EQ(busy->pid, said[1]);
  EXPECT_EQ(busy->place, said[2]);
  const auto after = p.workers();
  EXPECT_EQ(after[static_cast<std::size_t>(said[2])].state, worker_state::idle);
  EXPECT_EQ(after[static_cast<std::size_t>(said[2])].answered, 1u);
}

TEST_P(workers, which_item_of_the_input_runs) {
  board b;
  pool p(with(1));
  auto at_33 = [m = b.here()](int x) {
    if (x != 33) return;
    m.set(1);
    m.await(0);
  };
  auto r = p.map_async({.chunksize = 10}, at_33, first(40));
  b->await(1);
  const worker_info w = p.workers().at(0);
  EXPECT_EQ(w.index, 33u);
  EXPECT_NE(w.function.find("lambda"), std::string::npos) << w.function;
  EXPECT_GE(w.holds, 1u);
  b->set(0);
  r.get();
}

TEST_P(workers, of_a_stream_the_place_is_that_in_the_whole_input) {
  board b;
  pool p(with(1));
  auto stream = p.imap(
      {.chunksize = 1, .buffersize = 1},
      [m = b.here()](int x) {
        if (x != 5) return x;
        m.set(1);
        m.await(0);
        return x;
      },
      first(8));
  for (int i = 0; i < 5; ++i) EXPECT_EQ(stream.next(), i);
  EXPECT_THROW(stream.next(1ms), procpool::timeout_error);  // it reads on
  b->await(1);
  EXPECT_EQ(p.workers().at(0).index, 5u);
  b->set(0);
  EXPECT_EQ(rest_of(stream).size(), 3u);
}

TEST_P(workers, an_initializer_takes_its_time) {
  board b;
  auto o = with(1);
  o.initializer = procpool::task([m = b.here()] { m.await(0); });
  pool p(o);
  ASSERT_EQ(p.workers().size(), 1u);
  EXPECT_EQ(p.workers()[0].state, worker_state::starting);
  EXPECT_GT(p.workers()[0].pid, 0);
  b->set(0);
  EXPECT_TRUE(eventually([&] { return all_idle(p, 1); }, 20s));
}

TEST_P(workers, one_that_is_being_stopped) {
  board b;
  auto o = with(1);
  o.stop_steps = {.token_grace = 60s};
  pool p(o);
  auto r = p.apply_async([m = b.here()] {
    m.set(1);
    while (!procpool::this_worker::stop_requested()) ::usleep(100);
    m.await(0);
  });
  b->await(1);
  EXPECT_TRUE(r.cancel());
  EXPECT_EQ(p.workers().at(0).state, worker_state::stopping);
  b->set(0);
  EXPECT_THROW(r.get(), procpool::task_cancelled);
  EXPECT_TRUE(eventually([&] { return all_idle(p, 1); }, 20s));
}

TEST_P(workers, one_that_leaves) {
  board b;
  auto o = with(1);
  o.finalizer = procpool::task([m = b.here()] { m.await(0); });
  pool p(o);
  p.apply(square, 1);
  p.close();
  EXPECT_TRUE(eventually(
      [&] {
        const auto all = p.workers();
        return all.size() == 1 && all[0].state == worker_state::leaving;
      },
      20s));
  b->set(0);
  p.join();
  EXPECT_TRUE(p.workers().empty());
}

TEST_P(workers, a_replacement_takes_the_place_and_begins_anew) {
  pool p(with(1));
  p.map(square, first(10));
  const worker_info before = p.workers().at(0);
  EXPECT_EQ(before.answered, 10u);
  EXPECT_THROW(p.apply(crash), procpool::worker_died);
  ASSERT_TRUE(eventually([&] { return all_idle(p, 1); }, 20s));
  const worker_info after = p.workers().at(0);
  EXPECT_EQ(after.place, 0);
  EXPECT_NE(after.pid, before.pid);
  EXPECT_EQ(after.answered, 0u);
  EXPECT_EQ(after.busy, 0ns);
  EXPECT_GE(p.stats().busy, before.busy) << "the pool's own account goes on";
}

TEST(workers_here, an_in_process_pool_has_this_process) {
  pool p({.processes = 3, .start_method = procpool::start_method::in_process});
  const auto before = p.workers();
  ASSERT_EQ(before.size(), 1u);
  EXPECT_EQ(before[0].pid, ::getpid());
  std::vector<worker_info> during;
  const auto look = [](std::uintptr_t pool_at, std::uintptr_t to) {
    *reinterpret_cast<std::vector<worker_info>*>(to) =
        reinterpret_cast<const pool*>(pool_at)->workers();
  };
  p.apply(look, reinterpret_cast<std::uintptr_t>(&p), reinterpret_cast<std::uintptr_t>(&during));
  ASSERT_EQ(during.size(), 1u);
  EXPECT_EQ(during[0].state, worker_state::busy);
  EXPECT_NE(during[0].function.find("lambda"), std::string::npos);
  EXPECT_EQ(during[0].holds, 1u);
  p.close();
  p.join();
  EXPECT_TRUE(p.workers().empty());
}

}  // namespace
