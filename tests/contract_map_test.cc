// SPDX-License-Identifier: MIT
// The contract of map, starmap, try_map and their asynchronous kin: order, every kind of input,
// failures.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <deque>
#include <forward_list>
#include <initializer_list>
#include <limits>
#include <list>
#include <map>
#include <memory>
#include <numeric>
#include <ranges>
#include <set>
#include <span>
#include <sstream>
#include <stdexcept>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "procpool/procpool.h"
#include "support/board.h"
#include "support/inputs.h"
#include "support/methods.h"
#include "support/samples.h"
#include "support/tasks.h"

namespace sample {

struct sealed {  // plain, without a default constructor
  explicit sealed(int n) : value(n) {}
  int value;
};

}  // namespace sample

template <>
struct procpool::enable_bytes<sample::sealed> : std::true_type {};

namespace {

using sample::sealed;
using namespace procpool::testing;  // NOLINT(google-build-using-namespace)
using procpool::outcome;
using procpool::pool;
using procpool::task_options;

class map : public pool_test {};
class map_inputs : public pool_test {};
class starmap : public pool_test {};
class try_map : public pool_test {};
class map_in_workers : public pool_test {};
PROCPOOL_EVERY_METHOD(map);
PROCPOOL_EVERY_METHOD(map_inputs);
PROCPOOL_EVERY_METHOD(starmap);
PROCPOOL_EVERY_METHOD(try_map);
PROCPOOL_PROCESS_METHODS(map_in_workers);

// ---- order, sizes, kinds of results

TEST_P(map, equals_the_sequential_map) {
  pool p(with(3));
  for (int n : {0, 1, 2, 3, 12, 13, 33, 100, 1000, 20'000}) {
    EXPECT_EQ(p.map(square, first(n)), squares(n)) << n;
    EXPECT_EQ(p.map_async(square, first(n)).get(), squares(n)) << n;
  }
}

TEST_P(map, equals_it_for_every_chunksize) {
  pool p(with(3));
  constexpr auto most = std::numeric_limits<std::size_t>::max();
  for (std::size_t chunksize : {std::size_t{1}, std::size_t{3}, std::size_t{6}, std::size_t{20},
                                std::size_t{40}, std::size_t{50}, std::size_t{1} << 40, most}) {
    EXPECT_EQ(p.map({.chunksize = chunksize}, square, first(40)), squares(40)) << chunksize;
    EXPECT_EQ(p.map_async({.chunksize = chunksize}, square, first(40)).get(), squares(40));
    EXPECT_EQ(p.map({.chunksize = chunksize}, square, ints{}), ints{}) << chunksize;
    EXPECT_EQ(p.map({.chunksize = chunksize}, square, counting(40)), squares(40)) << chunksize;
  }
}

TEST_P(map, returns_every_kind_of_result) {
  pool p(with());
  const ints xs = first(50);
  std::vector<bool> odd = p.map([](int x) { return x % 2 == 1; }, xs);
  for (std::size_t i = 0; i < 50; ++i) EXPECT_EQ(odd[i], i % 2 == 1);
  std::vector<std::string> names = p.map([](int x) { return std::to_string(x); }, xs);
  EXPECT_EQ(names[49], "49");
  std::vector<std::unique_ptr<int>> owners =
      p.map([](int x) { return std::make_unique<int>(x); }, xs);
  EXPECT_EQ(*owners[7], 7);
  std::vector<sealed> all = p.map([](int x) { return sealed(x); }, xs);
  EXPECT_EQ(all[9].value, 9);
  EXPECT_EQ(p.map([](int x) { return std::pair(x, std::string(3, 'c')); }, xs)[4].second, "ccc");
}

TEST_P(map, void_tasks_each_run_once) {
  board b;
  pool p(with(3));
  auto mark = [m = b.here()](std::size_t i) { m.add(i); };
  std::vector<std::size_t> xs(300);
  std::iota(xs.begin(), xs.end(), std::size_t{0});
  static_assert(std::is_void_v<decltype(p.map(mark, xs))>);
  p.map(mark, xs);
  p.map_async({.chunksize = 7}, mark, xs).get();
  for (std::size_t i : xs) ASSERT_EQ(b->at(i), 2) << i;
}

TEST_P(map, many_tiny_items) {
  pool p(with(2));
  std::vector<std::uint32_t> xs(100'000);
  std::iota(xs.begin(), xs.end(), 0U);
  auto ys = p.map([](std::uint32_t x) { return x + 1; }, xs);
  ASSERT_EQ(ys.size(), xs.size());
  for (std::size_t i = 0; i < xs.size(); ++i) ASSERT_EQ(ys[i], i + 1);
  auto names = p.map(
      {.chunksize = 1}, [](std::uint32_t x) { return std::to_string(x); },
      std::span(xs).first(5000));
  EXPECT_EQ(names[4999], "4999");
}

TEST_P(map, a_callable_with_state_has_it_in_every_chunk) {
  pool p(with(3));
  const std::array<int, 4> table{5, 6, 7, 8};
  EXPECT_EQ(p.map(
                {.chunksize = 2}, [table](int i) { return table[static_cast<std::size_t>(i % 4)]; },
                first(9)),
            (ints{5, 6, 7, 8, 5, 6, 7, 8, 5}));
}

// ---- inputs

TEST_P(map_inputs, containers_of_all_sorts) {
  pool p(with(2));
  const ints expected{1, 4, 9};
  const ints constant{1, 2, 3};
  EXPECT_EQ(p.map(square, constant), expected);
  EXPECT_EQ(p.map(square, ints{1, 2, 3}), expected);
  EXPECT_EQ(p.map(square, std::list<int>{1, 2, 3}), expected);
  EXPECT_EQ(p.map(square, std::deque<int>{1, 2, 3}), expected);
  EXPECT_EQ(p.map(square, std::forward_list<int>{1, 2, 3}), expected);
  EXPECT_EQ(p.map(square, std::set<int>{3, 1, 2}), expected);
  EXPECT_EQ(p.map(square, std::array<int, 3>{1, 2, 3}), expected);
  EXPECT_EQ(p.map(square, std::initializer_list<int>{1, 2, 3}), expected);
  const int array[] = {1, 2, 3};
  EXPECT_EQ(p.map(square, array), expected);
  EXPECT_EQ(p.map(square, std::span<const int>(array)), expected);
  EXPECT_EQ(p.map(square, std::vector<short>{1, 2, 3}), expected);  // converted as in a call
  EXPECT_EQ(p.map([](bool b) { return b ? 1 : 0; }, std::vector<bool>{true, false, true}),
            (ints{1, 0, 1}));
  EXPECT_EQ(p.map([](char c) { return static_cast<int>(c - 'a'); }, std::string("abd")),
            (ints{0, 1, 3}));
}

TEST_P(map_inputs, single_pass_ranges_are_read_once) {
  pool p(with(2));
  auto input = counting(1000);
  EXPECT_EQ(p.map(square, input), squares(1000));
  EXPECT_EQ(input.read(), 1000);
  EXPECT_EQ(p.map(square, counting(17)), squares(17));
}

TEST_P(map_inputs, elements_that_only_move) {
  pool p(with(2));
  std::vector<std::unique_ptr<int>> owners;
  for (int i = 0; i < 20; ++i) owners.push_back(std::make_unique<int>(i));
  auto deref = [](const std::unique_ptr<int>& u) { return *u * *u; };
  EXPECT_EQ(p.map(deref, owners), squares(20));
  ASSERT_NE(owners[3], nullptr);  // read, not moved from
  auto make = [](int k) { return std::make_unique<int>(k); };
  EXPECT_EQ(p.map(deref, single_pass(20, make)), squares(20));
  EXPECT_EQ(p.map([](std::unique_ptr<int> u) { return *u; }, owners), first(20));
}

TEST_P(map_inputs, several_side_by_side) {
  pool p(with(2));
  EXPECT_EQ(p.map(sum, ints{1, 2, 3}, ints{10, 20, 30}), (ints{11, 22, 33}));
  EXPECT_EQ(
      p.map(
          {.chunksize = 2},
          [](int a, const std::string& b, double c) {
            return std::to_string(a) + b + std::to_string(static_cast<int>(c));
          },
          ints{1, 2, 3}, std::list<std::string>{"a", "b", "c"}, std::array<double, 3>{7, 8, 9}),
      (std::vector<std::string>{"1a7", "2b8", "3c9"}));
}

TEST_P(map_inputs, the_shortest_ends_them_all) {
  pool p(with(2));
  const ints none;
  EXPECT_EQ(p.map(sum, first(100), ints{5, 5}), (ints{5, 6}));
  EXPECT_EQ(p.map(sum, ints{5, 5}, first(100)), (ints{5, 6}));
  EXPECT_EQ(p.map(sum, endless(), ints{5, 5, 5}), (ints{5, 6, 7}));
  EXPECT_EQ(p.map(sum, first(100), none), none);
  EXPECT_EQ(p.map(sum, endless(), none), none);
}

TEST_P(map_inputs, empty_ones) {
  pool p(with(2));
  const ints none;
  EXPECT_EQ(p.map(square, none), none);
  EXPECT_EQ(p.map(square, counting(0)), none);
  EXPECT_EQ(p.map(square, liar(10, 0)), none);
  p.map([](int) {}, none);
  EXPECT_TRUE(p.try_map(square, none).empty());
  EXPECT_EQ(p.starmap(sum, std::vector<std::pair<int, int>>{}), none);
  auto result = p.map_async(square, none);
  EXPECT_TRUE(result.ready());
  EXPECT_TRUE(result.successful());
  EXPECT_EQ(result.get(), none);
  // A callback comes for an empty map too.
  EXPECT_EQ(p.map_async(square, none).then([](const ints& v) { return v.size() + 1; }).get(), 1U);
}

TEST_P(map_inputs, ones_that_lie_about_their_size) {
  pool p(with(2));
  for (std::size_t chunksize : {std::size_t{0}, std::size_t{1}, std::size_t{4}}) {
    const task_options o{.chunksize = chunksize};
    EXPECT_EQ(p.map(o, square, liar(3, 10)), squares(10)) << chunksize;
    EXPECT_EQ(p.map(o, square, liar(10, 3)), squares(3)) << chunksize;
    EXPECT_EQ(p.map(o, square, liar(1'000'000, 5)), squares(5)) << chunksize;
    EXPECT_EQ(p.map(o, square, liar(0, 5)), squares(5)) << chunksize;
    EXPECT_EQ(p.map_async(o, square, liar(10, 3)).get(), squares(3)) << chunksize;
    EXPECT_EQ(p.try_map(o, square, liar(10, 3)).size(), 3U) << chunksize;
    EXPECT_EQ(p.map(
                  o, [](int x) { return std::to_string(x); }, liar(10, 2)),
              (std::vector<std::string>{"0", "1"}));
  }
}

TEST_P(map_inputs, one_that_throws_throws_from_the_call) {
  pool p(with(2));
  for (int at : {0, 2, 9}) {
    for (std::size_t chunksize : {std::size_t{0}, std::size_t{1}, std::size_t{4}}) {
      const task_options o{.chunksize = chunksize};
      EXPECT_THROW(p.map(o, square, throwing(10, at)), input_error);
      EXPECT_THROW(static_cast<void>(p.map_async(o, square, throwing(10, at))), input_error);
      EXPECT_THROW(p.try_map(o, square, throwing(10, at)), input_error);
      EXPECT_THROW(p.map(o, square, liar(10, 10, at)), input_error);
      EXPECT_THROW(p.map(o, square, liar(1, 1, 0)), input_error);
      EXPECT_EQ(p.map(o, square, first(5)), squares(5));  // and the pool is as before
    }
  }
}

TEST_P(map_inputs, what_they_throw_comes_from_here) {
  pool p(with(1));
  try {
    p.map(square, throwing(3, 1));
    FAIL();
  } catch (const input_error& e) {
    EXPECT_STREQ(e.what(), "element 1");
    EXPECT_EQ(procpool::remote_info::of(e), nullptr);
  }
}

TEST_P(map_inputs, an_element_that_cannot_be_encoded_throws_from_the_call) {
  pool p(with(2));
  auto value = [](const unlucky& u) { return u.value; };
  std::vector<unlucky> xs(30);
  for (int i = 0; i < 30; ++i) xs[static_cast<std::size_t>(i)].value = i;
  EXPECT_THROW(p.map(value, xs), codec_error);
  EXPECT_THROW(p.map({.chunksize = 4}, value, xs), codec_error);
  EXPECT_THROW(static_cast<void>(p.map_async(value, xs)), codec_error);
  xs[13].value = 0;
  EXPECT_EQ(p.map(value, xs)[29], 29);
}

#ifndef __clang__  // clang 14 cannot compile libstdc++'s views
TEST_P(map_inputs, views) {
  pool p(with(2));
  auto odd = [](int x) { return x % 2 == 1; };
  EXPECT_EQ(p.map(square, std::views::iota(0, 50)), squares(50));
  EXPECT_EQ(p.map(square, first(8) | std::views::filter(odd)), (ints{1, 9, 25, 49}));
  const ints xs = first(10);
  EXPECT_EQ(p.map(square, xs | std::views::reverse | std::views::take(3)), (ints{81, 64, 49}));
  EXPECT_EQ(p.map(square, xs | std::views::transform(square)), p.map(square, squares(10)));
  EXPECT_EQ(p.map(square, std::views::iota(0) | std::views::take(5)), squares(5));
  EXPECT_EQ(p.map(sum, std::views::iota(100), xs)[9], 118);
  EXPECT_EQ(p.map(square, std::views::single(7)), ints{49});
  std::istringstream text("1 2 3 4");
  EXPECT_EQ(p.map(square, std::views::istream<int>(text)), (ints{1, 4, 9, 16}));
}
#endif

// ---- tuples

TEST_P(starmap, unpacks_tuples_pairs_and_arrays) {
  pool p(with(2));
  std::vector<std::pair<int, int>> pairs;
  ints expected;
  for (int i = 0; i < 100; ++i) {
    pairs.emplace_back(i, 2 * i);
    expected.push_back(3 * i);
  }
  EXPECT_EQ(p.starmap(sum, pairs), expected);
  EXPECT_EQ(p.starmap({.chunksize = 20}, sum, pairs), expected);
  EXPECT_EQ(p.starmap(sum, std::vector<std::array<int, 2>>{{1, 2}, {3, 4}}), (ints{3, 7}));
  EXPECT_EQ(p.starmap([](int a, const std::string& b, char c) { return std::to_string(a) + b + c; },
                      std::vector<std::tuple<int, std::string, char>>{{1, "x", 'y'}}),
            std::vector<std::string>{"1xy"});
  EXPECT_EQ(p.starmap(sum, single_pass(4, [](int k) { return std::tuple(k, k); })),
            (ints{0, 2, 4, 6}));
}

TEST_P(starmap, takes_the_elements_of_a_map) {
  pool p(with(2));
  const std::map<std::string, int> ages_of{{"ann", 3}, {"bob", 5}};
  EXPECT_EQ(p.starmap([](const std::string& name, int age) { return name + std::to_string(age); },
                      ages_of),
            (std::vector<std::string>{"ann3", "bob5"}));
}

TEST_P(starmap, without_waiting) {
  pool p(with(2));
  std::vector<std::pair<int, int>> pairs(100, {2, 3});
  EXPECT_EQ(p.starmap_async(sum, pairs).get(), ints(100, 5));
  EXPECT_EQ(p.starmap_async({.chunksize = 7}, sum, pairs).get(), ints(100, 5));
}

TEST_P(starmap, void_tasks_and_failures) {
  board b;
  pool p(with(2));
  const std::vector<std::pair<std::size_t, int>> pairs{{0, 1}, {1, 5}, {0, 2}};
  p.starmap([m = b.here()](std::size_t at, int n) { m[at] += n; }, pairs);
  EXPECT_EQ(b->at(0), 3);
  EXPECT_EQ(b->at(1), 5);
  EXPECT_THROW(p.starmap(
                   [](std::size_t, int n) -> int {
                     if (n == 5) throw std::range_error("five");
                     return n;
                   },
                   pairs),
               std::range_error);
}

// ---- failures

int fail_on_multiples_of_three(int x) {
  if (x % 3 == 0) throw std::domain_error(std::to_string(x));
  return x;
}

std::string text_of(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const std::exception& e) {
    return e.what();
  }
}

TEST_P(map, throws_the_first_failure_in_input_order) {
  pool p(with(3));
  for (std::size_t chunksize : {std::size_t{0}, std::size_t{1}, std::size_t{4}, std::size_t{100}}) {
    try {
      p.map({.chunksize = chunksize}, fail_on_multiples_of_three, ints{1, 2, 4, 9, 5, 6, 3});
      FAIL();
    } catch (const std::domain_error& e) {
      EXPECT_STREQ(e.what(), "9") << chunksize;
      EXPECT_NE(procpool::remote_info::of(e), nullptr);
    }
  }
}

TEST_P(map, runs_every_item_whatever_fails) {
  board b;
  pool p(with(2));
  auto mark = [m = b.here()](std::size_t i) {
    m.add(i);
    if (i % 5 == 0) throw std::runtime_error("fives");
  };
  std::vector<std::size_t> xs(100);
  std::iota(xs.begin(), xs.end(), std::size_t{0});
  EXPECT_THROW(p.map(mark, xs), std::runtime_error);
  EXPECT_THROW(p.map({.chunksize = 8}, mark, xs), std::runtime_error);
  EXPECT_THROW(p.map_async({.chunksize = 1}, mark, xs).get(), std::runtime_error);
  for (std::size_t i : xs) ASSERT_EQ(b->at(i), 3) << i;
}

TEST_P(map, large_errors_hold_up_nothing) {
  pool p(with(2));
  auto shout = [](int x) -> int {
    throw std::runtime_error(std::string(1 << 20, 'e') + char('0' + x));
  };
  auto one = p.apply_async(shout, 1);
  auto two = p.map_async({.chunksize = 1}, shout, first(8));
  p.close();
  p.join();
  EXPECT_THROW(one.get(), std::runtime_error);
  try {
    two.get();
    FAIL();
  } catch (const std::runtime_error& e) {
    EXPECT_EQ(std::string(e.what()).size(), (1U << 20) + 1);
  }
}

TEST_P(map, fail_fast_drops_what_has_not_started) {
  board b;
  pool p(with(1));
  auto mark = [m = b.here()](std::size_t i) {
    m.add(i);
    if (i == 2) throw std::runtime_error("two");
    if (i > 2) ::usleep(5000);  // the pool hears of it meanwhile
    return i;
  };
  std::vector<std::size_t> xs(500);
  std::iota(xs.begin(), xs.end(), std::size_t{0});
  EXPECT_THROW(p.map({.chunksize = 1, .fail_fast = true}, mark, xs), std::runtime_error);
  EXPECT_EQ(b->at(0) + b->at(1) + b->at(2), 3);
  EXPECT_EQ(b->at(499), 0);
}

TEST_P(try_map, gives_each_item_its_outcome) {
  pool p(with(2));
  for (std::size_t chunksize : {std::size_t{0}, std::size_t{1}, std::size_t{3}, std::size_t{50}}) {
    auto all = p.try_map({.chunksize = chunksize}, fail_on_multiples_of_three, first(20));
    ASSERT_EQ(all.size(), 20U);
    for (int i = 0; i < 20; ++i) {
      const outcome<int>& o = all[static_cast<std::size_t>(i)];
      ASSERT_EQ(static_cast<bool>(o), i % 3 != 0);
      if (o) {
        EXPECT_EQ(*o, i);
        EXPECT_EQ(o.value(), i);
        EXPECT_EQ(o.error(), nullptr);
      } else {
        EXPECT_THROW(o.value(), std::domain_error);
        EXPECT_EQ(text_of(o.error()), std::to_string(i));
      }
    }
  }
}

TEST_P(try_map, works_for_void_and_for_what_only_moves) {
  pool p(with(2));
  auto nothing = p.try_map(
      [](int x) {
        if (x == 1) throw std::runtime_error("one");
      },
      first(3));
  ASSERT_EQ(nothing.size(), 3U);
  EXPECT_TRUE(nothing[0]);
  EXPECT_THROW(nothing[1].value(), std::runtime_error);
  EXPECT_TRUE(nothing[2]);
  auto owners = p.try_map(
      [](int x) {
        if (x == 1) throw std::runtime_error("one");
        return std::make_unique<int>(x);
      },
      first(3));
  EXPECT_EQ(**owners[2], 2);
  EXPECT_FALSE(owners[1]);
  EXPECT_EQ(*std::move(owners[0]).value(), 0);
  auto zipped = p.try_map(sum, first(3), first(2));
  EXPECT_EQ(zipped.size(), 2U);
}

TEST_P(try_map, fail_fast_cancels_the_rest) {
  board b;
  pool p(with(1));
  auto all = p.try_map(
      {.chunksize = 1, .fail_fast = true},
      [m = b.here()](int x) {
        m.add(0);
        if (x == 3) throw std::domain_error("three");
        if (x > 3) ::usleep(5000);
        return x;
      },
      first(400));
  ASSERT_EQ(all.size(), 400U);
  EXPECT_EQ(all[2].value(), 2);
  EXPECT_THROW(all[3].value(), std::domain_error);
  EXPECT_THROW(all[399].value(), procpool::task_cancelled);
  // What ran says so, what did not is cancelled, nothing is in between.
  int ran = 0;
  for (auto& o : all) {
    try {
      o.value();
      ++ran;
    } catch (const std::domain_error&) {
      ++ran;
    } catch (const procpool::task_cancelled&) {
    }
  }
  EXPECT_EQ(ran, b->at(0));
}

// ---- what is left

TEST_P(map, elements_and_results_are_released) {
  pool p(with(1));
  auto live = [] { return tracked::live(); };
  const int there = p.apply(live);
  {
    const std::vector<tracked> xs(40);
    auto ys = p.map(
        {.chunksize = 7}, [](const tracked& t) { return t; }, xs);
    EXPECT_EQ(tracked::live(), 80);
    EXPECT_THROW(
        p.map(
            [](const tracked& t) -> tracked { throw std::runtime_error(std::to_string(t.value)); },
            xs),
        std::runtime_error);
    EXPECT_EQ(tracked::live(), 80);
  }
  EXPECT_EQ(tracked::live(), 0);
  EXPECT_EQ(p.apply(live), there);
}

// ---- other processes

TEST_P(map_in_workers, does_not_wait_and_reads_its_input_in_the_call) {
  board b;
  pool p(with(2));
  auto wait = [m = b.here()](int x) {
    m.await(0);
    return x;
  };
  procpool::async_result<ints> result;
  {
    ints xs = first(100);
    result = p.map_async({.chunksize = 3}, wait, xs);
    EXPECT_FALSE(result.ready());
    std::fill(xs.begin(), xs.end(), -1);
  }
  auto input = counting(10);
  auto second = p.map_async(wait, input);
  EXPECT_EQ(input.read(), 10);
  b->set(0);
  EXPECT_EQ(result.get(), first(100));
  EXPECT_EQ(second.get(), first(10));
}

TEST_P(map_in_workers, uses_all_workers) {
  board b;
  pool p(with(3));
  auto meet = [m = b.here()](int) {
    m.add(0);
    m.await(0, 3);  // nobody leaves before three are in
    return ::getpid();
  };
  // In one chunk too: idle workers take what has not started.
  for (std::size_t chunksize : {std::size_t{0}, std::size_t{1}, std::size_t{3}}) {
    b->set(0, 0);
    auto pids = p.map({.chunksize = chunksize}, meet, first(3));
    EXPECT_EQ(std::set<int>(pids.begin(), pids.end()).size(), 3U) << chunksize;
    EXPECT_FALSE(std::count(pids.begin(), pids.end(), ::getpid()));
  }
}

// First in input order, though another one failed before it.
TEST_P(map_in_workers, the_first_failure_is_not_the_earliest) {
  board b;
  pool p(with(2));
  try {
    p.map(
        {.chunksize = 1},
        [m = b.here()](int x) {
          if (x == 0) m.await(0);
          if (x == 1) m.set(0);
          throw std::runtime_error(std::to_string(x));
        },
        first(2));
    FAIL();
  } catch (const std::runtime_error& e) {
    EXPECT_STREQ(e.what(), "0");
  }
}

}  // namespace
