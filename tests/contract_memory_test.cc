// SPDX-License-Identifier: MIT
// The contract of pool_options.max_memory_per_child: a worker that has grown leaves as agreed, and
// nobody's work notices.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstddef>
#include <map>
#include <set>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "procpool/procpool.h"
#include "support/board.h"
#include "support/methods.h"
#include "support/own_memory.h"
#include "support/tasks.h"

namespace {

using namespace procpool::testing;  // NOLINT(google-build-using-namespace)
using procpool::pool;
using procpool::pool_options;
using procpool::start_method;

class memory : public pool_test {};
class memory_near : public pool_test {};
PROCPOOL_PROCESS_METHODS(memory);
INSTANTIATE_TEST_SUITE_P(contract, memory_near, ::testing::Values(start_method::in_process),
                         name_of);

/// What an item saw.
struct visit {
  int item;
  pid_t pid;
  std::size_t had;  // of memory, when it began
};

constexpr std::size_t leaked = 16 * MiB;
constexpr std::size_t room = 64 * MiB;
constexpr int most_items = 5;         // that fit, each leaking so much: the last one steps over
constexpr std::size_t lag = 4 * MiB;  // of the kernel's count

/// Leaks; notes at mark 10 + item that it ran.
auto leaks(const board& b) {
  return [m = b.here()](int item) {
    const visit v{item, ::getpid(), own_memory()};
    m.add(10 + static_cast<std::size_t>(item));
    leak(leaked);
    return v;
  };
}

/// With `room` above what a fresh worker has.
pool_options roomy(pool_options o) {
  pool fresh(o);
  o.max_memory_per_child = fresh.apply(own_memory) + room;
  return o;
}

/// In order, each item once.
void expect_whole(const std::vector<visit>& all, int n, const board& b) {
  ASSERT_EQ(all.size(), static_cast<std::size_t>(n));
  for (int i = 0; i < n; ++i) {
    EXPECT_EQ(all[static_cast<std::size_t>(i)].item, i);
    EXPECT_EQ(b->at(10 + static_cast<std::size_t>(i)), 1);
  }
}

std::map<pid_t, int> items_by_worker(const std::vector<visit>& all) {
  std::map<pid_t, int> by;
  for (const visit& v : all) ++by[v.pid];
  return by;
}

TEST_P(memory, a_worker_that_grows_is_replaced_wherever_it_stands_in_a_chunk) {
  for (const std::size_t chunksize : {1, 7, 40}) {
    board b;
    pool_options o = roomy(with(1));
    o.finalizer = procpool::task([](const marks& m) { m.add(0); }, b.here());
    std::vector<visit> all;
    {
      pool p(o);
      all = p.map({.chunksize = chunksize}, leaks(b), first(40));
    }
    expect_whole(all, 40, b);
    for (const visit& v : all) EXPECT_LT(v.had, o.max_memory_per_child + lag) << v.item;
    const auto by = items_by_worker(all);
    for (const auto& [pid, items] : by) EXPECT_LE(items, most_items);
    EXPECT_GE(by.size(), 40U / most_items);
    // Each left as agreed: those that had grown, and perhaps one that had just begun.
    EXPECT_GE(b->at(0), static_cast<int>(by.size()));
    EXPECT_LE(b->at(0), static_cast<int>(by.size()) + 1);
  }
}

TEST_P(memory, what_has_not_grown_stays) {
  pool p(roomy(with(1)));
  const pid_t pid = p.apply(::getpid);
  EXPECT_EQ(p.map(square, first(1000)), squares(1000));
  for (int i = 0; i < 100; ++i) p.apply(square, i);
  EXPECT_EQ(p.apply(::getpid), pid);
}

TEST_P(memory, calls_of_one_item_have_their_worker_replaced_between_them) {
  board b;
  pool p(roomy(with(1)));
  std::vector<visit> all;
  for (int i = 0; i < 20; ++i) all.push_back(p.apply(leaks(b), i));
  expect_whole(all, 20, b);
  for (const auto& [pid, items] : items_by_worker(all)) EXPECT_LE(items, most_items);
}

TEST_P(memory, what_was_sent_ahead_runs_in_order_elsewhere) {
  board b;
  pool p(roomy(with(2)));
  std::vector<procpool::async_result<visit>> sent;
  for (int i = 0; i < 40; ++i) sent.push_back(p.apply_async(leaks(b), i));
  std::vector<visit> all;
  for (auto& r : sent) all.push_back(r.get(ages));
  expect_whole(all, 40, b);
  auto stream = p.imap({.chunksize = 5}, leaks(b), std::vector<int>(first(40)));
  int next = 0;
  for (const visit& v : stream) EXPECT_EQ(v.item, next++);
  EXPECT_EQ(next, 40);
}

TEST_P(memory, short_items_are_none_the_worse) {
  board b;
  pool p(roomy(with(2)));
  auto sometimes = [](int x) {
    if (x % 1000 == 999) leak(leaked * 2);
    return x * x;
  };
  EXPECT_EQ(p.map({.chunksize = 5000}, sometimes, first(20'000)), squares(20'000));
}

TEST_P(memory, the_first_of_the_two_limits_that_is_reached_counts) {
  board b;
  pool_options o = roomy(with(1));
  o.max_tasks_per_child = 3;
  {
    pool p(o);
    const auto all = p.map({.chunksize = 30}, leaks(b), first(30));
    expect_whole(all, 30, b);
    for (const auto& [pid, items] : items_by_worker(all)) EXPECT_EQ(items, 3);
  }
  board c;
  o.max_tasks_per_child = 1000;
  pool p(o);
  const auto all = p.map({.chunksize = 30}, leaks(c), first(30));
  expect_whole(all, 30, c);
  for (const auto& [pid, items] : items_by_worker(all)) EXPECT_LE(items, most_items);
}

TEST_P(memory, a_worker_that_begins_with_too_much_runs_one_item) {
  board b;
  pool_options o = with(1);
  o.max_memory_per_child = 1;
  pool p(o);
  const auto all = p.map({.chunksize = 4}, leaks(b), first(8));
  expect_whole(all, 8, b);
  EXPECT_EQ(items_by_worker(all).size(), 8U);
}

TEST_P(memory, what_is_shared_with_the_pool_does_not_count) {
#if defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "the sanitizer notes each reading in memory of its own";
#endif
  pool p(roomy(with(1)));
  const std::vector<char> large(128 * MiB, 1);
  auto sum = [](std::span<const char> all) {
    long n = 0;
    for (std::size_t at = 0; at < all.size(); at += 4096) n += all[at];  // each page
    return std::pair(n, ::getpid());
  };
  const auto once = p.apply(sum, large);
  EXPECT_EQ(once.first, static_cast<long>(large.size() / 4096));
  EXPECT_EQ(p.apply(sum, large), once);
  EXPECT_EQ(p.apply(sum, large), once);
}

TEST_P(memory, what_the_process_had_counts_in_copies_of_it) {
  const pool_options o = roomy(with(1));
  const std::vector<char> had(128 * MiB, 1);
  pool p(o);
  const auto pids = p.map(
      {.chunksize = 3}, [](int) { return ::getpid(); }, first(3));
  EXPECT_EQ(std::set<pid_t>(pids.begin(), pids.end()).size(),
            GetParam() == start_method::fork ? 3U : 1U);
}

TEST_P(memory, an_exception_is_the_items_outcome_in_a_worker_that_has_grown_too) {
  pool p(roomy(with(1)));
  auto fails = [](int x) -> int {
    leak(room);
    throw std::domain_error(std::to_string(x));
  };
  const auto all = p.try_map({.chunksize = 6}, fails, first(6));
  for (std::size_t i = 0; i < 6; ++i) {
    try {
      all[i].value();
      ADD_FAILURE();
    } catch (const std::domain_error& e) {
      EXPECT_EQ(e.what(), std::to_string(i));
    }
  }
}

TEST_P(memory_near, nobody_is_replaced) {
  pool_options o = with(1);
  o.max_memory_per_child = 1;
  pool p(o);
  EXPECT_EQ(p.map([](int) { return ::getpid(); }, first(3)), std::vector<pid_t>(3, ::getpid()));
}

}  // namespace
