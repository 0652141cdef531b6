// SPDX-License-Identifier: MIT
// What a task throws, seen from the caller, through every function of the pool. That each type
// survives as bytes is failure_test.cc's matter; here it is that the pool brings the right one to
// the right item.
#include <gtest/gtest.h>

#include <numeric>
#include <stdexcept>
#include <string>
#include <system_error>
#include <vector>

#include "failure_samples.h"
#include "procpool/procpool.h"
#include "support/fork_test.h"

namespace procpool {
namespace {

using namespace testing;  // NOLINT: this file is about what stands there
using testing::shared;    // not the handle

class failure_exception : public fork_test {};

std::vector<int> numbers(int n) {
  std::vector<int> all(static_cast<std::size_t>(n));
  std::iota(all.begin(), all.end(), 0);
  return all;
}

int throw_sample(int i) {
  std::rethrow_exception(test::known_types()[static_cast<std::size_t>(i)].thrown);
}

int odd_fails(int x) {
  ++shared[static_cast<std::size_t>(x)];
  if (x % 2 == 1) throw std::out_of_range("item " + std::to_string(x));
  return x * 10;
}

// Complaint 5: an exception that cannot be rebuilt costs CPython the thread that reads results.
TEST_F(failure_exception, EveryStandardTypeComesBackAsItself) {
  pool p(2);
  const pid_t worker = p.apply([](int) { return ::getpid(); }, 0);
  EXPECT_GT(worker, 0);
  const auto all = test::known_types();
  const auto outcomes = p.try_map(throw_sample, numbers(static_cast<int>(all.size())));
  ASSERT_EQ(outcomes.size(), all.size());
  for (std::size_t i = 0; i < all.size(); ++i) {
    SCOPED_TRACE(all[i].name);
    ASSERT_FALSE(outcomes[i]);
    all[i].check(outcomes[i].error(), test::what_of(all[i].thrown));
    EXPECT_EQ(test::info_of(outcomes[i].error()).type, all[i].type);
    EXPECT_GT(test::info_of(outcomes[i].error()).pid, 0);
    EXPECT_NE(test::info_of(outcomes[i].error()).pid, ::getpid());
  }
  EXPECT_EQ(p.apply([](int x) { return x + 1; }, 1), 2);
}

TEST_F(failure_exception, SystemErrorKeepsItsCode) {
  pool p(1);
  const auto e = thrown_by<std::system_error>([&] {
    return p.apply(
        [](int) -> int { throw std::system_error(ENOSPC, std::generic_category(), "no room"); }, 0);
  });
  EXPECT_EQ(e.code(), std::error_code(ENOSPC, std::generic_category()));
  EXPECT_NE(std::string(e.what()).find("no room"), std::string::npos);
}

TEST_F(failure_exception, NestedOnesArriveNested) {
  pool p(1);
  try {
    p.apply(
        [](int) -> int {
          try {
            throw std::invalid_argument("inner");
          } catch (...) {
            std::throw_with_nested(std::runtime_error("outer"));
          }
        },
        0);
    FAIL();
  } catch (const std::runtime_error& outer) {
    EXPECT_STREQ(outer.what(), "outer");
    EXPECT_THROW(std::rethrow_if_nested(outer), std::invalid_argument);
  }
}

struct own_error : std::exception {
  [[nodiscard]] const char* what() const noexcept override { return "of my own"; }
};

TEST_F(failure_exception, OtherTypesBecomeRemoteErrorsThatNameThem) {
  pool p(1);
  const auto own =
      thrown_by<remote_error>([&] { return p.apply([](int) -> int { throw own_error(); }, 0); });
  EXPECT_NE(std::string(own.what()).find("own_error"), std::string::npos);
  EXPECT_NE(std::string(own.what()).find("of my own"), std::string::npos);
  const auto number =
      thrown_by<remote_error>([&] { return p.apply([](int) -> int { throw 42; }, 0); });
  EXPECT_STREQ(number.what(), "int: 42");
}

// Complaint 29: one failure must not hide the others' results.
TEST_F(failure_exception, TryMapKeepsEveryItemsOwnOutcome) {
  pool p(2);
  for (std::size_t chunk : {1U, 3U, 1000U}) {
    for (int i = 0; i < 100; ++i) shared[static_cast<std::size_t>(i)] = 0;
    const auto all = p.try_map({.chunksize = chunk}, odd_fails, numbers(100));
    for (int i = 0; i < 100; ++i) {
      const auto& o = all[static_cast<std::size_t>(i)];
      EXPECT_EQ(shared[static_cast<std::size_t>(i)], 1);
      if (i % 2 == 0) {
        EXPECT_EQ(o.value(), i * 10);
      } else {
        EXPECT_EQ(thrown_by<std::out_of_range>(o.error()).what(), "item " + std::to_string(i));
      }
    }
  }
}

TEST_F(failure_exception, MapRunsEveryItemThenThrowsTheFirstInInputOrder) {
  pool p(2);
  const auto e = thrown_by<std::out_of_range>(
      [&] { return p.map({.chunksize = 7}, odd_fails, numbers(100)); });
  EXPECT_STREQ(e.what(), "item 1");
  for (std::size_t i = 0; i < 100; ++i) EXPECT_EQ(shared[i], 1) << i;
}

TEST_F(failure_exception, StreamsThrowAtTheItemsPlaceAndGoOn) {
  pool p(2);
  for (std::size_t chunk : {1U, 3U, 1000U}) {
    auto stream = p.imap({.chunksize = chunk}, odd_fails, numbers(50));
    for (int i = 0; i < 50; ++i) {
      if (i % 2 == 0) {
        EXPECT_EQ(stream.next(), i * 10);
      } else {
        EXPECT_THROW(static_cast<void>(stream.next()), std::out_of_range);
      }
    }
    EXPECT_EQ(stream.next(), std::nullopt);
    int good = 0;
    int bad = 0;
    auto unordered = p.imap_unordered({.chunksize = chunk}, odd_fails, numbers(50));
    for (bool more = true; more;) {
      try {
        more = unordered.next().has_value();
        good += more;
      } catch (const std::out_of_range&) {
        ++bad;
      }
    }
    EXPECT_EQ(good, 25);
    EXPECT_EQ(bad, 25);
  }
}

// Complaint 30: an error that nobody asks for harms nobody.
TEST_F(failure_exception, DroppedFailuresHarmNothing) {
  pool p(2);
  for (int i = 0; i < 200; ++i) static_cast<void>(p.apply_async(odd_fails, 1));
  EXPECT_EQ(p.apply(odd_fails, 2), 20);
}

// Complaint 7: a callback that throws costs CPython the thread that brings results.
TEST_F(failure_exception, CallbackThatThrowsBecomesItsResultsError) {
  pool p(1);
  auto r = p.apply_async(odd_fails, 2).then([](int) -> int { throw own_error(); });
  EXPECT_THROW(r.get(seconds(30)), own_error);
  auto on_error = p.apply_async(odd_fails, 1)
                      .then([](int x) { return x; },
                            [](const std::exception_ptr&) -> int { throw own_error(); });
  EXPECT_THROW(on_error.get(seconds(30)), own_error);
  EXPECT_EQ(p.apply(odd_fails, 4), 40);
}

}  // namespace
}  // namespace procpool
