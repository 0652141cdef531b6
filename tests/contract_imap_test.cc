// SPDX-License-Identifier: MIT
// The contract of imap and imap_unordered: order, ends, how far the input is read, failures in the
// middle.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <iterator>
#include <list>
#include <memory>
#include <optional>
#include <ranges>
#include <set>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "procpool/procpool.h"
#include "support/board.h"
#include "support/inputs.h"
#include "support/methods.h"
#include "support/samples.h"
#include "support/tasks.h"

namespace {

using namespace procpool::testing;  // NOLINT(google-build-using-namespace)
using namespace std::chrono_literals;
using procpool::pool;
using procpool::result_stream;
using procpool::task_options;

class imap : public pool_test {};
class imap_in_workers : public pool_test {};
PROCPOOL_EVERY_METHOD(imap);
PROCPOOL_PROCESS_METHODS(imap_in_workers);

// ---- what comes

TEST_P(imap, keeps_the_order_and_ends_again_and_again) {
  pool p(with(3));
  for (std::size_t chunksize : {std::size_t{0}, std::size_t{1}, std::size_t{3}, std::size_t{100}}) {
    for (int n : {0, 1, 2, 10, 1000}) {
      auto stream = p.imap({.chunksize = chunksize}, square, first(n));
      EXPECT_EQ(rest_of(stream), squares(n)) << n << " by " << chunksize;
      for (int i = 0; i < 3; ++i) EXPECT_EQ(stream.next(), std::nullopt);
      EXPECT_EQ(stream.next(1ms), std::nullopt);
      EXPECT_TRUE(stream.begin() == stream.end());
    }
  }
}

TEST_P(imap, unordered_gives_each_result_once) {
  pool p(with(3));
  for (std::size_t chunksize : {std::size_t{0}, std::size_t{1}, std::size_t{3}, std::size_t{100}}) {
    auto stream = p.imap_unordered({.chunksize = chunksize}, square, first(1000));
    EXPECT_EQ(sorted(rest_of(stream)), squares(1000)) << chunksize;
    for (int i = 0; i < 3; ++i) EXPECT_EQ(stream.next(), std::nullopt);
  }
}

TEST_P(imap, is_an_input_range) {
  using stream = result_stream<std::string>;
  static_assert(std::ranges::input_range<stream>);
  static_assert(std::movable<stream> && !std::copyable<stream>);
  pool p(with(2));
  int n = 0;
  for (int x : p.imap(square, first(20))) {
    EXPECT_EQ(x, n * n);
    ++n;
  }
  EXPECT_EQ(n, 20);
  auto names = p.imap([](int x) { return std::to_string(x); }, first(3));
  auto at = names.begin();
  EXPECT_EQ(*at, "0");
  EXPECT_EQ(at->size(), 1U);
  ++at;
  std::string taken = std::move(*at);
  at++;
  EXPECT_EQ(taken, "1");
  EXPECT_EQ(*at, "2");
  ++at;
  EXPECT_TRUE(at == names.end());
}

TEST_P(imap, a_stream_may_be_moved_while_it_runs) {
  pool p(with(2));
  for (either imap_of : both) {
    auto a = imap_of(p, square, first(100));
    ints all{*a.next()};
    auto b = std::move(a);
    for (int i = 0; i < 10; ++i) all.push_back(*b.next());
    a = std::move(b);
    for (int x : rest_of(a)) all.push_back(x);
    EXPECT_EQ(sorted(all), squares(100));
    EXPECT_THROW(b.next(), std::logic_error);  // NOLINT(bugprone-use-after-move): that is the test
  }
}

TEST_P(imap, inputs_of_every_kind) {
  pool p(with(2));
  const ints constant = first(5);
  for (either imap_of : both) {
    auto check = [&](auto stream) { EXPECT_EQ(sorted(rest_of(stream)), squares(5)); };
    check(imap_of(p, square, constant));
    check(imap_of(p, square, std::list<int>{0, 1, 2, 3, 4}));
    check(imap_of(p, square, counting(5)));
    check(imap_of(p, square, liar(100, 5)));
    check(imap_of(p, square, liar(2, 5)));
    auto outer = counting(5);
    check(imap_of(p, square, outer));
    EXPECT_EQ(outer.read(), 5);
    const int array[] = {0, 1, 2, 3, 4};
    check(imap_of(p, square, array));
    check(imap_of(
        p, [](const std::unique_ptr<int>& u) { return *u * *u; },
        single_pass(5, [](int k) { return std::make_unique<int>(k); })));
  }
  std::vector<bool> bits{true, false};
  auto flipped = p.imap([](bool b) { return !b; }, bits);
  EXPECT_EQ(flipped.next(), false);
  EXPECT_EQ(flipped.next(), true);
}

#ifndef __clang__  // clang 14 cannot compile libstdc++'s views
TEST_P(imap, views) {
  pool p(with(2));
  auto stream = p.imap(square, std::views::iota(0) | std::views::take(7));
  EXPECT_EQ(rest_of(stream), squares(7));
  auto endless_one = p.imap(square, std::views::iota(0));
  EXPECT_EQ(*endless_one.next(), 0);
  EXPECT_EQ(*endless_one.next(), 1);
  ints front;
  for (int x : p.imap(square, first(20)) | std::views::take(4)) front.push_back(x);
  EXPECT_EQ(front, squares(4));
}
#endif

TEST_P(imap, results_of_every_kind) {
  pool p(with(2));
  board b;
  int n = 0;
  auto nothing = p.imap([m = b.here()](int) { m.add(0); }, first(30));
  while (nothing.next()) ++n;
  EXPECT_EQ(n, 30);
  EXPECT_EQ(b->at(0), 30);
  auto owners = p.imap_unordered([](int x) { return std::make_unique<int>(x); }, ints{4});
  EXPECT_EQ(**owners.next(), 4);
  auto names = p.imap(
      {.chunksize = 3}, [](int x) { return std::string(1000, 'a' + char(x)); }, first(9));
  EXPECT_EQ(*names.next(), std::string(1000, 'a'));
}

TEST_P(imap, several_ranges_side_by_side) {
  pool p(with(2));
  for (std::size_t buffersize : {std::size_t{0}, std::size_t{1}, std::size_t{3}, std::size_t{50}}) {
    auto stream = p.imap({.buffersize = buffersize}, sum, first(10), ints{5, 5, 5, 5});
    EXPECT_EQ(rest_of(stream), (ints{5, 6, 7, 8})) << buffersize;
    auto endless_ones = p.imap({.buffersize = buffersize}, sum, endless(), endless());
    EXPECT_EQ(*endless_ones.next(), 0);
    EXPECT_EQ(*endless_ones.next(), 2);
    EXPECT_EQ(*endless_ones.next(), 4);
    auto none = p.imap({.buffersize = buffersize}, sum, endless(), ints{});
    EXPECT_EQ(none.next(), std::nullopt);
  }
}

// ---- leaving, closing

TEST_P(imap, leaving_early_harms_nothing) {
  pool p(with(2));
  for (either imap_of : both) {
    for (int taken : {0, 1, 10}) {
      auto stream = imap_of(p, task_options{.chunksize = 2}, square, endless());
      for (int i = 0; i < taken; ++i) stream.next();
    }
    for (int x : imap_of(p, square, first(1000))) {
      if (x >= 0) break;
    }
    EXPECT_EQ(p.apply(square, 4), 16);
  }
}

TEST_P(imap, closing_the_pool_stops_the_reading_not_the_results) {
  pool p(with(2));
  auto input = endless();
  auto stream = p.imap({.buffersize = 6}, square, input);
  EXPECT_EQ(stream.next(), 0);
  const int read = input.read();
  p.close();
  p.join();
  ints rest;
  EXPECT_THROW(
      {
        while (auto r = stream.next()) rest.push_back(*r);
      },
      procpool::pool_closed);
  EXPECT_GE(static_cast<int>(rest.size()), read - 1 - 6);
  EXPECT_LE(static_cast<int>(rest.size()), read);
  for (std::size_t i = 0; i < rest.size(); ++i)
    EXPECT_EQ(rest[i], static_cast<int>((i + 1) * (i + 1)));
  EXPECT_EQ(stream.next(), std::nullopt);
  EXPECT_THROW(static_cast<void>(p.imap(square, first(3))), procpool::pool_closed);
}

TEST_P(imap, a_whole_stream_can_be_read_after_close) {
  pool p(with(2));
  auto stream = p.imap({.buffersize = 50}, square, first(20));
  p.close();
  p.join();
  EXPECT_EQ(rest_of(stream), squares(20));
}

TEST_P(imap, a_stream_with_more_to_read_ends_in_pool_closed_after_close) {
  pool p(with(2));
  auto stream = p.imap({.chunksize = 1, .buffersize = 3}, square, first(20));
  p.close();
  p.join();
  for (int k = 0; k < 3; ++k) EXPECT_EQ(stream.next(), k * k);
  EXPECT_THROW(static_cast<void>(stream.next()), procpool::pool_closed);
  EXPECT_EQ(stream.next(), std::nullopt);
}

TEST_P(imap, a_stream_may_outlive_its_pool) {
  std::optional<result_stream<int>> stream;
  {
    pool p(with(2));
    stream.emplace(p.imap({.buffersize = 50}, square, first(20)));
  }
  EXPECT_EQ(rest_of(*stream), squares(20));
}

TEST_P(imap, yielded_results_are_released) {
  pool p(with(1));
  {
    auto stream = p.imap(
        {.chunksize = 1, .buffersize = 1}, [](int x) { return tracked(x); }, first(50));
    int most = 0;
    while (auto r = stream.next()) most = std::max(most, tracked::live());
    // One with the caller, and what is on its way: never a growing number.
    EXPECT_LE(most, 4);
    EXPECT_EQ(tracked::live(), 0);
  }
  {
    auto left = p.imap([](int x) { return tracked(x); }, first(50));
    left.next();
  }
  EXPECT_EQ(p.apply([](int x) { return x; }, 1), 1);
  EXPECT_EQ(tracked::live(), 0);
}

// ---- other processes: time

TEST_P(imap_in_workers, a_timeout_loses_nothing) {
  board b;
  pool p(with(2));
  for (either imap_of : both) {
    b->set(0, 0);
    auto stream = imap_of(
        p, task_options{.chunksize = 2},
        [m = b.here()](int x) {
          m.await(0);
          return x;
        },
        first(10));
    for (int i = 0; i < 3; ++i) EXPECT_THROW(stream.next(1ms), procpool::timeout_error);
    EXPECT_THROW(stream.next(0s), procpool::timeout_error);
    EXPECT_THROW(stream.next(-1s), procpool::timeout_error);
    b->set(0);
    ints all{*stream.next(ages)};
    for (int x : rest_of(stream)) all.push_back(x);
    EXPECT_EQ(sorted(all), first(10));
  }
}

TEST_P(imap_in_workers, unordered_does_not_wait_for_the_first) {
  board b;
  pool p(with(2));
  auto stream = p.imap_unordered(
      {.chunksize = 1},
      [m = b.here()](int x) {
        if (x == 0) m.await(0);
        return x;
      },
      first(4));
  std::set<int> early;
  for (int i = 0; i < 3; ++i) early.insert(*stream.next(ages));
  EXPECT_EQ(early, (std::set<int>{1, 2, 3}));
  EXPECT_THROW(stream.next(0s), procpool::timeout_error);
  b->set(0);
  EXPECT_EQ(stream.next(), 0);
}

// Four inputs that take their time while another caller's tasks come and go.
TEST_P(imap_in_workers, a_slow_input_starves_nobody) {
  board b;
  pool p(with(1));
  auto slow = single_pass(4, [&](int k) {
    if (k >= 2) {
      EXPECT_EQ(p.apply_async(square, k).get(ages), k * k);  // served meanwhile
    }
    return k;
  });
  auto stream = p.imap({.chunksize = 1, .buffersize = 1}, square, slow);
  EXPECT_EQ(rest_of(stream), squares(4));
}

TEST_P(imap_in_workers, leaving_early_drops_what_has_not_started) {
  board b;
  pool p(with(1));
  {
    auto stream = p.imap(
        {.chunksize = 1, .buffersize = 20},
        [m = b.here()](int x) {
          m.add(0);
          if (x == 0) m.await(1);
          return x;
        },
        first(100));
    ASSERT_NO_THROW(b->await(0));  // the first one runs
  }
  b->set(1);
  p.close();
  p.join();
  // It and, at most, what the worker had claimed with it; not the twenty that were on their way.
  EXPECT_GE(b->at(0), 1);
  EXPECT_LE(b->at(0), 3);
}

TEST_P(imap_in_workers, terminate_ends_a_stream_with_pool_terminated) {
  board b;
  pool p(with(2));
  for (either imap_of : {both[0]}) {
    auto stream = imap_of(
        p, task_options{.chunksize = 1, .buffersize = 4},
        [m = b.here()](int x) {
          if (x > 0) m.await(0);
          return x;
        },
        endless());
    EXPECT_EQ(stream.next(), 0);
    p.terminate();
    EXPECT_THROW(stream.next(ages), procpool::pool_terminated);
    // It ends, after a failure for each that was on its way.
    int failures = 0;
    for (bool more = true; more && failures < 100; ++failures) {
      try {
        more = stream.next(ages).has_value();
      } catch (const procpool::error&) {
      }
    }
    EXPECT_LT(failures, 10);
    p.join();
  }
}

}  // namespace
