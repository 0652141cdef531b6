// SPDX-License-Identifier: MIT
// The contract of a pool's life: options, initializers, worker turnover, close, terminate, join,
// the end.
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <future>
#include <memory>
#include <numeric>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "procpool/procpool.h"
#include "support/board.h"
#include "support/methods.h"
#include "support/one_cpu.h"
#include "support/tasks.h"

namespace {

using namespace procpool::testing;  // NOLINT(google-build-using-namespace)
using namespace std::chrono_literals;
using procpool::async_result;
using procpool::pool;
using procpool::pool_options;
using procpool::start_method;
using clock = std::chrono::steady_clock;

class options : public pool_test {};
class lifecycle : public pool_test {};
PROCPOOL_EVERY_METHOD(options);
PROCPOOL_EVERY_METHOD(lifecycle);

class environment {
 public:
  environment(const char* name, const char* value) : name_(name) { ::setenv(name, value, 1); }
  environment(const environment&) = delete;
  environment& operator=(const environment&) = delete;
  ~environment() { ::unsetenv(name_); }

 private:
  const char* name_;
};

// ---- options

TEST_P(options, invalid_ones_are_refused) {
  for (int processes : {-1, -100, 5000}) {
    EXPECT_THROW(pool p(with(processes)), std::invalid_argument) << processes;
  }
  pool_options o = with(1);
  o.max_tasks_per_child = -1;
  EXPECT_THROW(pool p(o), std::invalid_argument);
  o = with(1);
  o.start_method = static_cast<start_method>(77);
  EXPECT_THROW(pool p(o), std::invalid_argument);
  EXPECT_THROW(pool p(-1), std::invalid_argument);
}

TEST_P(options, processes_are_what_was_asked_for) {
  for (int n : {1, 2, 3, 7}) {
    pool p(with(n));
    EXPECT_EQ(p.processes(), n);
    EXPECT_EQ(p.map(square, ints{1, 2, 3}), (ints{1, 4, 9}));
  }
  pool all(with(0));
  EXPECT_GE(all.processes(), 1);
  EXPECT_LE(all.processes(), static_cast<int>(::sysconf(_SC_NPROCESSORS_ONLN)));
}

TEST_P(options, an_environment_variable_says_how_many_by_default) {
  {
    environment e("PROCPOOL_PROCESSES", "3");
    EXPECT_EQ(pool(with(0)).processes(), 3);
    EXPECT_EQ(pool(with(2)).processes(), 2);  // what the program says counts more
  }
  for (const char* bad : {"0", "-1", "two", "3x", "99999999999", " 3"}) {
    environment e("PROCPOOL_PROCESSES", bad);
    EXPECT_THROW(pool p(with(0)), std::invalid_argument) << bad;
  }
  environment e("PROCPOOL_PROCESSES", "");
  EXPECT_GE(pool(with(0)).processes(), 1);
}

TEST_P(options, the_affinity_of_this_process_counts) {
  EXPECT_TRUE(in_a_child([] {
    const on_one_cpu here;
    return pool(with(0)).processes() == 1;
  }));
}

TEST_P(options, a_pool_says_what_it_is) {
  pool p(with(2));
  EXPECT_EQ(p.to_string(), "<procpool::pool state=running processes=2>");
  std::ostringstream out;
  out << p;
  EXPECT_EQ(out.str(), p.to_string());
  p.close();
  EXPECT_EQ(p.to_string(), "<procpool::pool state=closed processes=2>");
  p.terminate();
  EXPECT_EQ(p.to_string(), "<procpool::pool state=terminated processes=2>");
  p.join();
  EXPECT_EQ(p.processes(), 2);
}

// ---- close, terminate, join

void expect_closed(pool& p) {
  using procpool::pool_closed;
  const ints xs{1, 2};
  const std::vector<std::pair<int, int>> pairs{{1, 2}};
  auto sum = [](int a, int b) { return a + b; };
  EXPECT_THROW(p.apply(square, 1), pool_closed);
  EXPECT_THROW(static_cast<void>(p.apply_async(square, 1)), pool_closed);
  EXPECT_THROW(p.map(square, xs), pool_closed);
  EXPECT_THROW(p.map(square, ints{}), pool_closed);
  EXPECT_THROW(static_cast<void>(p.map_async(square, xs)), pool_closed);
  EXPECT_THROW(p.try_map(square, xs), pool_closed);
  EXPECT_THROW(p.starmap(sum, pairs), pool_closed);
  EXPECT_THROW(static_cast<void>(p.starmap_async(sum, pairs)), pool_closed);
  EXPECT_THROW(static_cast<void>(p.imap(square, xs)), pool_closed);
  EXPECT_THROW(static_cast<void>(p.imap(square, ints{})), pool_closed);
  EXPECT_THROW(static_cast<void>(p.imap_unordered(square, xs)), pool_closed);
}

TEST_P(lifecycle, nothing_can_be_submitted_after_close) {
  pool p(with());
  p.close();
  expect_closed(p);
  p.join();
  expect_closed(p);
  p.close();
  p.terminate();
  p.join();
}

TEST_P(lifecycle, nothing_can_be_submitted_after_terminate) {
  pool p(with());
  EXPECT_EQ(p.apply(square, 2), 4);
  p.terminate();
  expect_closed(p);
  p.join();
  expect_closed(p);
  p.terminate();
  p.close();
  p.join();
  EXPECT_TRUE(p.join_for(0s));
}

TEST_P(lifecycle, join_wants_an_end_first) {
  pool p(with());
  EXPECT_THROW(p.join(), std::logic_error);
  EXPECT_THROW(p.join_for(1s), std::logic_error);
  EXPECT_EQ(p.apply(square, 2), 4);  // and was no end
  p.close();
  p.join();
  p.join();
  EXPECT_TRUE(p.join_for(1s));
}

TEST_P(lifecycle, nothing_is_left_after_join) {
  pool_census before;
  pool p(with(3));
  EXPECT_EQ(p.map(square, first(50)).back(), 49 * 49);
  p.close();
  p.join();
  EXPECT_TRUE(no_child_is_left());
}

TEST_P(lifecycle, close_finishes_what_was_submitted) {
  pool p(with());
  std::vector<async_result<int>> all;
  for (int i = 0; i < 50; ++i) all.push_back(p.apply_async(square, i));
  auto many = p.map_async({.chunksize = 3}, square, first(100));
  p.close();
  p.join();
  for (int i = 0; i < 50; ++i) {
    EXPECT_TRUE(all[static_cast<std::size_t>(i)].ready());
    EXPECT_EQ(all[static_cast<std::size_t>(i)].get(), i * i);
  }
  EXPECT_EQ(many.get()[99], 99 * 99);
}

TEST_P(lifecycle, the_destructor_finishes_what_was_submitted) {
  board b;
  std::vector<async_result<int>> all;
  {
    pool p(with());
    for (int i = 0; i < 50; ++i)
      all.push_back(p.apply_async(
          [m = b.here()](int x) {
            m.add(0);
            return x;
          },
          i));
  }
  EXPECT_TRUE(no_child_is_left());
  EXPECT_EQ(b->at(0), 50);
  for (int i = 0; i < 50; ++i) EXPECT_EQ(all[static_cast<std::size_t>(i)].get(), i);
}

TEST_P(lifecycle, close_right_after_saturating_does_not_block) {
  for (int round = 0; round < 10; ++round) {
    pool p(with(3));
    std::vector<async_result<int>> all;
    for (int i = 0; i < 4; ++i) all.push_back(p.apply_async(square, i));
    p.close();
    p.join();
    EXPECT_EQ(all[3].get(), 9);
  }
}

TEST_P(lifecycle, a_pool_that_did_nothing_ends) {
  { pool p(with(3)); }
  {
    pool p(with(3));
    p.close();
    p.join();
  }
  {
    pool p(with(3));
    p.terminate();
    p.join();
  }
  {
    pool p(with(3));
    p.terminate();
  }
}

TEST_P(lifecycle, a_pool_made_while_another_exception_unwinds_ends_as_always) {
  struct works_late {
    ~works_late() {
      pool p(options);
      *result = p.apply_async(square, 6);
    }
    pool_options options;
    async_result<int>* result;
  };
  async_result<int> result;
  try {
    works_late w{with(), &result};
    throw std::runtime_error("unwinding");
  } catch (const std::runtime_error&) {
  }
  EXPECT_EQ(result.get(), 36);  // finished, not terminated
}

TEST_P(lifecycle, many_pools_at_once) {
  std::vector<std::unique_ptr<pool>> pools;
  for (int i = 0; i < 10; ++i) pools.push_back(std::make_unique<pool>(with(2)));
  std::vector<async_result<ints>> all;
  for (auto& p : pools) all.push_back(p->map_async(square, first(20)));
  for (auto& r : all) EXPECT_EQ(r.get()[19], 361);
  // In another order than they came.
  std::swap(pools[0], pools[9]);
  pools.erase(pools.begin() + 3);
  EXPECT_EQ(pools[0]->apply(square, 3), 9);
  while (!pools.empty()) {
    pools.pop_back();
    if (!pools.empty()) {
      EXPECT_EQ(pools.front()->apply(square, 3), 9);
    }
  }
}

TEST_P(lifecycle, pools_come_and_go_in_many_threads) {
  std::vector<std::future<int>> threads;
  for (int t = 0; t < 4; ++t) {
    threads.push_back(std::async(std::launch::async, [o = with(2)] {
      int sum = 0;
      for (int i = 0; i < 5; ++i) {
        pool p(o);
        sum += p.map(square, ints{1, 2, 3})[2];
      }
      return sum;
    }));
  }
  for (auto& t : threads) EXPECT_EQ(t.get(), 45);
}

TEST_P(lifecycle, a_pool_works_inside_a_pool) {
  pool outer(with(2));
  EXPECT_EQ(outer.map(
                {.chunksize = 1},
                [](int n) {
                  pool inner(2);
                  auto all = inner.map(square, std::vector<int>(10, n));
                  return std::accumulate(all.begin(), all.end(), 0);
                },
                ints{1, 2, 3}),
            (ints{10, 40, 90}));
}

TEST_P(lifecycle, two_hundred_workers) {
  pool p(with(200));
  std::vector<int> ones(1000, 1);
  auto all = p.map([](int x) { return x; }, ones);
  EXPECT_EQ(std::accumulate(all.begin(), all.end(), 0), 1000);
}

TEST_P(lifecycle, threads_may_submit_while_one_closes) {
  for (int round = 0; round < 5; ++round) {
    pool p(with(2));
    std::vector<std::future<int>> threads;
    for (int t = 0; t < 4; ++t) {
      threads.push_back(std::async(std::launch::async, [&p] {
        for (int n = 0;; ++n) {
          try {
            auto r = p.apply_async(square, n % 100);
            EXPECT_EQ(r.get(), (n % 100) * (n % 100));  // accepted: then it is done
          } catch (const procpool::pool_closed&) {
            return n;
          }
        }
      }));
    }
    p.apply(square, 1);
    p.close();
    for (auto& t : threads) t.get();
    p.join();
  }
}

}  // namespace
