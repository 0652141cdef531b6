// SPDX-License-Identifier: MIT
// Codecs that throw, on each of their sides: only that item fails, the worker lives, the pool goes
// on.
#include <gtest/gtest.h>

#include <algorithm>
#include <stdexcept>
#include <string>
#include <vector>

#include "procpool/procpool.h"
#include "support/fork_test.h"

namespace procpool {
namespace {

using namespace testing;  // NOLINT: this file is about what stands there
using testing::shared;    // not the handle

struct of_no_standard {};  // thrown, too

void refuse(int value) {
  if (value == 13) throw std::domain_error("thirteen");
  if (value == 14) throw of_no_standard();
}

/// Cannot be encoded when its value is 13 or 14, after a part of it has been written.
struct unsavable {
  int value = 0;
  template <class Archive>
  void save(Archive& archive) const {
    archive(std::string(1000, 'p'));
    refuse(value);
    archive(value);
  }
  template <class Archive>
  void load(Archive& archive) {
    std::string padding;
    archive(padding, value);
  }
};

/// Cannot be decoded then.
struct unloadable {
  int value = 0;
  template <class Archive>
  void save(Archive& archive) const {
    archive(value);
  }
  template <class Archive>
  void load(Archive& archive) {
    archive(value);
    refuse(value);
  }
};

template <class T>
std::vector<T> values() {
  return {T{1}, T{13}, T{2}, T{14}, T{3}};
}

int take_unsavable(const unsavable& x) { return ++shared[0], x.value; }
int take_unloadable(const unloadable& x) { return ++shared[0], x.value; }
unsavable give_unsavable(int x) { return ++shared[0], unsavable{x}; }
unloadable give_unloadable(int x) { return ++shared[0], unloadable{x}; }
int value_of(int x) { return x; }
int value_of(const unsavable& x) { return x.value; }
int value_of(const unloadable& x) { return x.value; }

class failure_codec : public process_test {
 protected:
  /// The exception nested in a serialization_error; null when it is none.
  static std::exception_ptr cause_of(const std::exception_ptr& error) {
    try {
      if (error) std::rethrow_exception(error);
    } catch (const serialization_error& e) {
      try {
        std::rethrow_if_nested(e);
      } catch (...) {
        return std::current_exception();
      }
    } catch (...) {
    }
    return nullptr;
  }

  /// Items 1 and 3 fail, whatever the chunks are; `last` checks the cause of item 3.
  template <class F, class Items, class Last>
  static void expect_two_failures(F f, const Items& items, Last last) {
    pool p(of(2));
    for (int i = 0; i < 10; ++i) p.map({.chunksize = 1}, value_of_int, std::vector<int>(10, i));
    auto workers = the_workers();
    for (std::size_t chunk : {1U, 2U, 5U}) {
      const auto all = p.try_map({.chunksize = chunk}, f, items);
      ASSERT_EQ(all.size(), 5U);
      for (std::size_t i : {0U, 2U, 4U})
        EXPECT_EQ(value_of(all[i].value()), static_cast<int>(i / 2 + 1));
      EXPECT_STREQ(thrown_by<std::domain_error>(cause_of(all[1].error())).what(), "thirteen");
      last(cause_of(all[3].error()));
    }
    EXPECT_THROW(p.map(f, items), serialization_error);
    EXPECT_THROW(p.apply(f, items[1]), serialization_error);
    EXPECT_THROW(p.apply_async(f, items[3]).get(seconds(30)), serialization_error);
    auto stream = p.imap(f, items);
    EXPECT_EQ(value_of(*stream.next()), 1);
    EXPECT_THROW(static_cast<void>(stream.next()), serialization_error);
    EXPECT_EQ(value_of(*stream.next()), 2);
    EXPECT_THROW(static_cast<void>(stream.next()), serialization_error);
    EXPECT_EQ(value_of(*stream.next()), 3);
    EXPECT_FALSE(stream.next());
    auto after = the_workers();
    std::sort(workers.begin(), workers.end());
    std::sort(after.begin(), after.end());
    EXPECT_EQ(after, workers);
  }

 private:
  static int value_of_int(int x) { return x; }
};

PROCPOOL_PROCESS_METHODS(failure_codec);

TEST_P(failure_codec, EncodingAnArgumentThrowsFromTheCall) {
  pool p(of(2));
  EXPECT_THROW(p.apply(take_unsavable, unsavable{13}), std::domain_error);
  EXPECT_THROW(p.apply(take_unsavable, unsavable{14}), of_no_standard);
  EXPECT_THROW(static_cast<void>(p.apply_async(take_unsavable, unsavable{13})), std::domain_error);
  for (std::size_t chunk : {1U, 2U, 5U}) {
    EXPECT_THROW(p.map({.chunksize = chunk}, take_unsavable, values<unsavable>()),
                 std::domain_error);
    EXPECT_THROW(
        static_cast<void>(p.map_async({.chunksize = chunk}, take_unsavable, values<unsavable>())),
        std::domain_error);
    EXPECT_THROW(p.try_map({.chunksize = chunk}, take_unsavable, values<unsavable>()),
                 std::domain_error);
  }
  EXPECT_EQ(p.apply(take_unsavable, unsavable{5}), 5);
}

// Complaint 32: an input that fails part-way hangs the map.
TEST_P(failure_codec, EncodingAnArgumentOfAStreamFailsThatItem) {
  pool p(of(2));
  for (std::size_t chunk : {1U, 2U, 5U}) {
    auto stream = p.imap({.chunksize = chunk}, take_unsavable, values<unsavable>());
    EXPECT_EQ(stream.next(), 1);
    EXPECT_THROW(static_cast<void>(stream.next()), std::domain_error);
    EXPECT_EQ(stream.next(), 2);
    EXPECT_THROW(static_cast<void>(stream.next()), of_no_standard);
    EXPECT_EQ(stream.next(), 3);
    EXPECT_EQ(stream.next(), std::nullopt);
  }
}

TEST_P(failure_codec, DecodingAnArgumentFailsTheItemBeforeItRuns) {
  expect_two_failures(take_unloadable, values<unloadable>(), [](const std::exception_ptr& e) {
    EXPECT_NE(std::string(thrown_by<remote_error>(e).what()).find("of_no_standard"),
              std::string::npos);
  });
}

TEST_P(failure_codec, EncodingAResultFailsTheItem) {
  expect_two_failures(
      give_unsavable, std::vector<int>{1, 13, 2, 14, 3}, [](const std::exception_ptr& e) {
        EXPECT_NE(std::string(thrown_by<remote_error>(e).what()).find("of_no_standard"),
                  std::string::npos);
      });
}

// Complaint 5: a result that cannot be decoded costs CPython the thread that reads results.
TEST_P(failure_codec, DecodingAResultFailsTheItem) {
  expect_two_failures(
      give_unloadable, std::vector<int>{1, 13, 2, 14, 3},
      [](const std::exception_ptr& e) { EXPECT_THROW(std::rethrow_exception(e), of_no_standard); });
}

}  // namespace
}  // namespace procpool
