// SPDX-License-Identifier: MIT
// snapshot_map: captures of any kind, in copies of this process made for the call. And indices.
#include <algorithm>
#include <cstdlib>
#include <functional>
#include <iterator>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "support/methods.h"
#include "support/tasks.h"

namespace procpool::testing {
namespace {

using texts = std::vector<std::string>;

class snapshot : public ::testing::Test {
 protected:
  void TearDown() override { EXPECT_TRUE(census_.unchanged()); }

 private:
  pool_census census_;
};

class server {
 public:
  [[nodiscard]] texts names(const ints& xs) const {
    return snapshot_map([this](int x) { return prefix_ + std::to_string(x); }, xs);
  }

 private:
  std::string prefix_ = "n";
};

TEST_F(snapshot, captures_may_be_anything) {
  const std::map<std::string, int> table{{"a", 1}, {"b", 2}};
  const auto shared_one = std::make_shared<int>(10);
  std::string later = "before";
  later = "now";
  EXPECT_EQ(snapshot_map(
                [&, shared_one](const std::string& s) {
                  return later + std::to_string(table.at(s) + *shared_one);
                },
                texts{"b", "a"}),
            (texts{"now12", "now11"}));
  EXPECT_EQ(server().names({1, 2}), (texts{"n1", "n2"}));
  const std::function<int(int)> f = [&table](int x) { return x + table.at("a"); };
  EXPECT_EQ(snapshot_map(f, first(3)), (ints{1, 2, 3}));
  EXPECT_EQ(snapshot_map(&square, first(3)), (ints{0, 1, 4}));
}

TEST_F(snapshot, takes_what_map_takes) {
  int k = 1;
  const auto& add = [&k](int a, int b) { return a + b + k; };
  EXPECT_EQ(snapshot_map(add, first(3), ints{1, 1}), (ints{2, 3}));
  EXPECT_EQ(snapshot_map([&](std::span<const int> v) { return static_cast<int>(v.size()) + k; },
                         std::vector<ints>{{1}, {1, 2}}),
            (ints{2, 3}));
  EXPECT_EQ(snapshot_map([&](int x) { return x + k; }, indices(1000)).size(), 1000u);
  EXPECT_TRUE(snapshot_map([&](int x) { return x + k; }, ints{}).empty());
  int calls = 0;
  snapshot_map([&](int) { ++calls; }, first(3));  // void, and what changes stays there
  EXPECT_EQ(calls, 0);
  int mine = 0;
  EXPECT_EQ(snapshot_map(
                {.processes = 1}, [mine](int x) mutable { return x + mine++; }, ints{5, 5}),
            (ints{5, 6}));
  EXPECT_EQ(mine, 0);
}

TEST_F(snapshot, options_are_the_pools) {
  board b;
  EXPECT_EQ(snapshot_map(
                {.processes = 3,
                 .initializer = procpool::task([m = b.here()] { m.add(0); }),
                 .max_tasks_per_child = 2},
                [&b](int x) {
                  if (b->at(0) == 0) throw std::logic_error("not initialised");
                  return x;
                },
                first(10)),
            first(10));
  const auto id = [](int x) { return x; };
  EXPECT_THROW(snapshot_map({.start_method = start_method::in_process}, id, first(1)),
               std::invalid_argument);
  EXPECT_THROW(snapshot_map({.processes = -1}, id, first(1)), std::invalid_argument);
}

TEST_F(snapshot, no_more_workers_than_items) {
  ::setenv("PROCPOOL_PROCESSES", "7", 1);
  const auto workers = [](auto&& xs) {
    board b;
    // Each worker waits for the others.
    const auto n = std::min<int>(7, static_cast<int>(std::size(xs)));
    const auto pids = snapshot_map(
        [&b, n](int) {
          b->add(0);
          b->await(0, n);
          return ::getpid();
        },
        xs);
    return std::set<pid_t>(pids.begin(), pids.end()).size();
  };
  EXPECT_EQ(workers(first(3)), 3u);
  EXPECT_EQ(workers(first(7)), 7u);
  ::unsetenv("PROCPOOL_PROCESSES");
}

TEST_F(snapshot, failures_come_home) {
  const std::string text = "no";
  EXPECT_THROW(snapshot_map([&](int) -> int { throw std::runtime_error(text); }, first(2)),
               std::runtime_error);
  EXPECT_THROW(snapshot_map([&](int) { std::abort(); }, first(2)), worker_died);
}

// ---- indices ------------------------------------------------------------------------------------

using range = index_range<int>;
static_assert(std::random_access_iterator<range::iterator>);
static_assert(std::ranges::random_access_range<range> && std::ranges::sized_range<range> &&
              std::ranges::common_range<range> && std::ranges::borrowed_range<range>);
static_assert(indices(5).size() == 5 && indices(2, 5)[2] == 4 && indices(-2, 2).size() == 4);
static_assert(indices(0).empty() && indices(-3).empty() && indices(5, 2).empty());
static_assert(std::same_as<decltype(indices(0, 5L)), index_range<long>>);

TEST(indices_range, counts) {
  const auto r = indices(3, 7);
  EXPECT_EQ(ints(r.begin(), r.end()), (ints{3, 4, 5, 6}));
  auto i = r.begin();
  EXPECT_EQ(*(i + 2), 5);
  EXPECT_EQ(i[3], 6);
  EXPECT_EQ(*++i, 4);
  EXPECT_EQ(*i--, 4);
  EXPECT_EQ(r.end() - i, 4);
  EXPECT_LT(i, r.end());
  EXPECT_EQ(std::ranges::distance(indices(std::size_t{9})), 9);
  EXPECT_EQ(*std::ranges::find(r, 5), 5);
  const auto big = indices(std::uint64_t{1} << 40, (std::uint64_t{1} << 40) + 2);
  EXPECT_EQ(big[1], (std::uint64_t{1} << 40) + 1);
}

TEST(indices_range, is_read_like_any_range) {
  pool p({.processes = 1, .start_method = start_method::in_process});
  EXPECT_EQ(p.map(square, indices(4)), squares(4));
  EXPECT_EQ(p.map(sum, indices(4), indices(10, 14)), (ints{10, 12, 14, 16}));
  auto stream = p.imap(square, indices(4));
  EXPECT_EQ(rest_of(stream), squares(4));
}

}  // namespace
}  // namespace procpool::testing
