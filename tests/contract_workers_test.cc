// SPDX-License-Identifier: MIT
// The contract of workers that come and go: initializers, max_tasks_per_child.
#include <gtest/gtest.h>
#include <unistd.h>
#include <map>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>
#include "procpool/procpool.h"
#include "support/board.h"
#include "support/methods.h"
#include "support/tasks.h"

namespace {

using namespace procpool::testing;  // NOLINT(google-build-using-namespace)
using procpool::async_result;
using procpool::pool;
using procpool::pool_options;
using procpool::start_method;

class initializer : public pool_test {};
class turnover : public pool_test {};
PROCPOOL_EVERY_METHOD(initializer);
PROCPOOL_PROCESS_METHODS(turnover);

// ---- initializers

int initialized_with = 0;
int initialized_times = 0;

void initialize(const marks& m, int value, const std::string& text) {
  initialized_with = value + static_cast<int>(text.size());
  ++initialized_times;
  m.add(5);
}

TEST_P(initializer, runs_once_in_every_worker) {
  initialized_with = initialized_times = 0;
  board b;
  pool_options o = with(3);
  o.initializer = procpool::task(initialize, b.here(), 40, std::string("ab"));
  {
    pool p(o);
    auto seen = p.map(
        {.chunksize = 1}, [](int) { return std::pair(initialized_with, initialized_times); },
        first(60));
    for (auto [with_what, times] : seen) {
      EXPECT_EQ(with_what, 42);
      EXPECT_EQ(times, 1);
    }
  }
  EXPECT_EQ(b->at(5), GetParam() == start_method::in_process ? 1 : 3);
}

TEST_P(turnover, replacements_are_initialized_too) {
  initialized_with = initialized_times = 0;
  board b;
  pool_options o = with(1);
  o.max_tasks_per_child = 2;
  o.initializer = procpool::task(initialize, b.here(), 40, std::string("ab"));
  {
    pool p(o);
    auto seen = p.map(
        {.chunksize = 3},
        [](int) {
          return std::tuple(initialized_with, initialized_times, static_cast<int>(::getpid()));
        },
        first(10));
    std::set<int> pids;
    for (auto [with_what, times, pid] : seen) {
      EXPECT_EQ(with_what, 42);
      EXPECT_EQ(times, 1);
      pids.insert(pid);
    }
    EXPECT_EQ(pids.size(), 5U);
  }
  EXPECT_GE(b->at(5), 5);
}

// ---- max_tasks_per_child

TEST_P(turnover, a_worker_calls_f_exactly_so_often) {
  for (std::size_t chunksize :
       {std::size_t{0}, std::size_t{1}, std::size_t{3}, std::size_t{5}, std::size_t{50}}) {
    pool_options o = with(1);
    o.max_tasks_per_child = 5;
    pool p(o);
    ints pids = p.map(
        {.chunksize = chunksize}, [](int) { return static_cast<int>(::getpid()); }, first(20));
    std::map<int, int> calls;
    for (int pid : pids) ++calls[pid];
    EXPECT_EQ(calls.size(), 4U) << chunksize;
    for (auto [pid, n] : calls) EXPECT_EQ(n, 5) << chunksize;
  }
}

TEST_P(turnover, with_several_workers_too) {
  for (std::size_t chunksize : {std::size_t{0}, std::size_t{1}, std::size_t{7}}) {
    pool_options o = with(3);
    o.max_tasks_per_child = 10;
    pool p(o);
    ints pids = p.map(
        {.chunksize = chunksize}, [](int) { return static_cast<int>(::getpid()); }, first(100));
    std::map<int, int> calls;
    for (int pid : pids) ++calls[pid];
    EXPECT_GE(calls.size(), 10U);
    for (auto [pid, n] : calls) EXPECT_LE(n, 10) << chunksize;
  }
}

TEST_P(turnover, counts_every_kind_of_call) {
  pool_options o = with(1);
  o.max_tasks_per_child = 3;
  pool p(o);
  const auto pid = [] { return static_cast<int>(::getpid()); };
  const int one = p.apply(pid);
  EXPECT_EQ(p.apply_async(pid).get(), one);
  EXPECT_EQ(p.apply(pid), one);
  const int two = p.apply(pid);
  EXPECT_NE(two, one);
  auto stream = p.imap([](int) { return static_cast<int>(::getpid()); }, first(3));
  EXPECT_EQ(stream.next(), two);
  EXPECT_EQ(stream.next(), two);
  EXPECT_NE(stream.next(), two);
  EXPECT_THROW(p.apply([] { throw std::runtime_error("counts as well"); }), std::runtime_error);
}

TEST_P(turnover, loses_no_result) {
  struct shape {
    int workers, quota, tasks;
  };
  for (shape s :
       {shape{1, 2, 6}, shape{2, 2, 8}, shape{2, 1, 6}, shape{3, 1, 30}, shape{1, 1, 10}}) {
    pool_options o = with(s.workers);
    o.max_tasks_per_child = s.quota;
    pool p(o);
    std::vector<async_result<int>> all;
    for (int i = 0; i < s.tasks; ++i) all.push_back(p.apply_async(square, i));
    for (int i = 0; i < s.tasks; ++i) EXPECT_EQ(all[static_cast<std::size_t>(i)].get(), i * i);
    EXPECT_EQ(p.map(square, first(20))[19], 361);
  }
}

TEST_P(turnover, goes_on_while_the_pool_closes) {
  std::vector<async_result<int>> all;
  auto fail = [](int x) -> int { throw std::runtime_error(std::to_string(x)); };
  for (int way = 0; way < 3; ++way) {
    all.clear();
    pool_options o = with(2);
    o.max_tasks_per_child = 1;
    auto p = std::make_unique<pool>(o);
    all.push_back(p->apply_async(fail, 0));
    for (int i = 1; i < 12; ++i) all.push_back(p->apply_async(square, i));
    if (way == 0) {
      p->close();
      p->join();
    } else if (way == 1) {
      p->close();
      for (int i = 1; i < 12; ++i) all[static_cast<std::size_t>(i)].wait();
    }
    p.reset();
    EXPECT_THROW(all[0].get(), std::runtime_error);
    for (int i = 1; i < 12; ++i) EXPECT_EQ(all[static_cast<std::size_t>(i)].get(), i * i);
  }
}

TEST_P(turnover, terminate_in_the_middle_of_it_fails_the_rest) {
  pool_options o = with(2);
  o.max_tasks_per_child = 1;
  pool p(o);
  std::vector<async_result<int>> all;
  for (int i = 0; i < 100; ++i) all.push_back(p.apply_async(square, i));
  all[3].wait();
  p.terminate();
  int done = 0;
  for (auto& r : all) {
    try {
      r.get(ages);
      ++done;
    } catch (const procpool::pool_terminated&) {
    }
  }
  EXPECT_GE(done, 1);
  p.join();
  EXPECT_TRUE(no_child_is_left());
}

}  // namespace
