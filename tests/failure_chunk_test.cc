// SPDX-License-Identifier: MIT
// Deaths inside chunks, through every call that takes many items: only the item that was running
// fails, with its place in the input; what was finished is kept, the rest runs elsewhere, nothing
// runs twice.
#include <gtest/gtest.h>

#include <csignal>
#include <numeric>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "procpool/detail/results.h"
#include "procpool/procpool.h"
#include "support/fork_test.h"

namespace procpool {
namespace {

using namespace testing;  // NOLINT: this file is about what stands there
using testing::shared;    // not the handle

constexpr int item_count = 1000;
const std::set<int> deadly{0, 7, 8, 499, 999};

int number(int x) {
  ++shared[static_cast<std::size_t>(x)];
  if (deadly.contains(x)) ::kill(::getpid(), SIGKILL);
  return x * 3;
}
std::string text(int x) {
  return std::string(static_cast<std::size_t>(x % 50) * 20, 'x') + std::to_string(number(x));
}
int sum(int x, int y) { return number(x) + y; }

std::string expected_text(int x) {
  return std::string(static_cast<std::size_t>(x % 50) * 20, 'x') + std::to_string(x * 3);
}

std::vector<int> numbers() {
  std::vector<int> all(item_count);
  std::iota(all.begin(), all.end(), 0);
  return all;
}

class failure_chunk : public fork_test, public ::testing::WithParamInterface<std::size_t> {
 protected:
  static void expect_each_ran_once() {
    for (std::size_t i = 0; i < item_count; ++i) ASSERT_EQ(shared[i].load(), 1) << "item " << i;
  }
  static void expect_died(const std::exception_ptr& error, int item) {
    const auto e = thrown_by<worker_died>(error);
    EXPECT_EQ(e.signal(), SIGKILL);
    EXPECT_EQ(e.index(), static_cast<std::size_t>(item));
  }
};

TEST_P(failure_chunk, TryMapOfNumbers) {
  pool p(2);
  const auto all = p.try_map({.chunksize = GetParam()}, number, numbers());
  ASSERT_EQ(all.size(), static_cast<std::size_t>(item_count));
  for (int i = 0; i < item_count; ++i) {
    const auto& o = all[static_cast<std::size_t>(i)];
    if (deadly.contains(i))
      expect_died(o.error(), i);
    else
      EXPECT_EQ(o.value(), i * 3);
  }
  expect_each_ran_once();
}

TEST_P(failure_chunk, TryMapOfStrings) {
  pool p(2);
  const auto all = p.try_map({.chunksize = GetParam()}, text, numbers());
  for (int i = 0; i < item_count; ++i) {
    const auto& o = all[static_cast<std::size_t>(i)];
    if (deadly.contains(i))
      expect_died(o.error(), i);
    else
      EXPECT_EQ(o.value(), expected_text(i));
  }
  expect_each_ran_once();
}

TEST_P(failure_chunk, MapThrowsTheFirstAndRunsAll) {
  pool p(2);
  const auto e =
      thrown_by<worker_died>([&] { return p.map({.chunksize = GetParam()}, number, numbers()); });
  EXPECT_EQ(e.index(), 0U);
  expect_each_ran_once();
}

TEST_P(failure_chunk, Starmap) {
  pool p(2);
  std::vector<std::tuple<int, int>> pairs;
  for (int i = 1; i < item_count; ++i) pairs.emplace_back(i, 1);
  const auto e =
      thrown_by<worker_died>([&] { return p.starmap({.chunksize = GetParam()}, sum, pairs); });
  EXPECT_EQ(e.index(), 6U);  // the item whose x is 7
  for (std::size_t i = 1; i < item_count; ++i) ASSERT_EQ(shared[i].load(), 1) << "item " << i;
}

TEST_P(failure_chunk, Imap) {
  pool p(2);
  auto stream = p.imap({.chunksize = GetParam()}, number, numbers());
  for (int i = 0; i < item_count; ++i) {
    try {
      EXPECT_EQ(stream.next(), i * 3);
      EXPECT_FALSE(deadly.contains(i));
    } catch (const worker_died&) {
      EXPECT_TRUE(deadly.contains(i));
      expect_died(std::current_exception(), i);
    }
  }
  EXPECT_EQ(stream.next(), std::nullopt);
  expect_each_ran_once();
}

TEST_P(failure_chunk, ImapUnordered) {
  pool p(2);
  auto stream = p.imap_unordered({.chunksize = GetParam()}, text, numbers());
  std::multiset<std::string> values;
  std::multiset<int> died;
  for (bool more = true; more;) {
    try {
      const auto v = stream.next();
      more = v.has_value();
      if (more) values.insert(*v);
    } catch (const worker_died& e) {
      died.insert(static_cast<int>(e.index()));
    }
  }
  std::multiset<std::string> expected;
  for (int i = 0; i < item_count; ++i)
    if (!deadly.contains(i)) expected.insert(expected_text(i));
  EXPECT_EQ(values, expected);
  EXPECT_EQ(died, std::multiset<int>(deadly.begin(), deadly.end()));
  expect_each_ran_once();
}

INSTANTIATE_TEST_SUITE_P(ChunkSize, failure_chunk, ::testing::Values(1, 3, 1000),
                         ::testing::PrintToStringParamName());

class failure_chunk_alone : public failure_chunk {};

TEST_F(failure_chunk_alone, EveryItemMayKillItsWorker) {
  pool p(2);
  const auto all = p.try_map(
      {.chunksize = 25},
      [](int x) {
        ++shared[static_cast<std::size_t>(x)];
        ::kill(::getpid(), SIGKILL);
        return x;
      },
      std::vector<int>{0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14,
                       15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28});
  for (std::size_t i = 0; i < all.size(); ++i) {
    expect_died(all[i].error(), static_cast<int>(i));
    EXPECT_EQ(shared[i].load(), 1);
  }
  EXPECT_EQ(p.apply(number, 5), 15);
}

// Between the two stores of task_run::finished: the reply has a record of an item that did not
// finish.
TEST_F(failure_chunk_alone, RecordOfTheItemThatWasRunningSpoilsNoOther) {
  class bytes_writer final : public detail::writer {
   public:
    bytes_writer() : writer(nullptr, 0) {}

   private:
    void grow(std::size_t more) override {
      storage_.resize(size_ + more);
      data_ = storage_.data();
      capacity_ = storage_.size();
    }
    std::vector<std::byte> storage_;
  } out;
  for (int v : {10, 11, 12, 13}) out.raw(&v, sizeof v);
  const std::size_t at = detail::open_record(out, 2, detail::record_kind::error);
  detail::close_record(out, at);
  detail::reply r;
  r.count = 4;
  r.done = 2;
  r.bytes = {out.data(), out.size()};
  detail::many<int> results;
  results.extend(4);
  EXPECT_EQ(results.deliver(r), 0U);
  results.fail(2, 2, std::make_exception_ptr(worker_died(1, 9, 2)));
  const auto all = results.take_outcomes();
  EXPECT_EQ(all[0].value(), 10);
  EXPECT_EQ(all[1].value(), 11);
}

}  // namespace
}  // namespace procpool
