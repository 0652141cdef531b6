// SPDX-License-Identifier: MIT
// What a task throws, as a caller catches it: types of the user's own, and where they were thrown.
#include <gtest/gtest.h>
#include <unistd.h>
#include <unwind.h>

#include <algorithm>
#include <exception>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "base/entry.h"
#include "procpool/procpool.h"
#include "support/methods.h"

namespace {

using namespace procpool::testing;  // NOLINT(google-build-using-namespace)
using procpool::pool;
using procpool::remote_info;

struct parse_error : std::runtime_error {
  parse_error(const std::string& what, int at) : std::runtime_error(what), line(at) {}
  int line;
};
PROCPOOL_EXCEPTION(parse_error, e.what(), e.line);

struct verdict final {
  std::string text;
};
PROCPOOL_EXCEPTION(verdict, e.text);

struct bad_index : std::out_of_range {
  using std::out_of_range::out_of_range;
};

[[gnu::noinline]] int deep(int n) {
  if (n == 0) throw parse_error("bottom", 12);
  const int below = deep(n - 1);
  return below + (below == 4711 ? 2 : 1);
}
[[gnu::noinline]] int reads_past(int i) {
  const std::vector<int> v(3);
  return v.at(static_cast<std::size_t>(i)) + (v[0] == 4711 ? 1 : 0);
}
[[gnu::noinline]] int catches(int n) {
  try {
    return deep(n);
  } catch (const parse_error&) {
    return -1;
  }
}
[[gnu::noinline]] int throws_again(int n) {
  try {
    return deep(n);
  } catch (const parse_error& e) {
    if (e.line == 4711) return 1;
    throw;
  }
}
[[gnu::noinline]] int of_another_thread(int n) {
  std::exception_ptr error;
  std::thread([&] {
    try {
      deep(n);
    } catch (...) {
      error = std::current_exception();
    }
  }).join();
  std::rethrow_exception(error);
}

/// The functions of the frames, as this process knows them.
std::vector<void*> functions(const remote_info& info) {
  std::vector<void*> all;
  for (const auto& p : info.stack.places()) {
    const void* at = procpool::base::find_code({p.module, p.offset});
    all.push_back(at == nullptr ? nullptr : _Unwind_FindEnclosingFunction(const_cast<void*>(at)));
  }
  return all;
}
template <class F>
long count(const remote_info& info, F* f) {
  const auto all = functions(info);
  return std::count(all.begin(), all.end(), reinterpret_cast<void*>(f));
}

/// What is known of the E that f() throws.
template <class E, class F>
remote_info thrown_by(F f) {
  try {
    f();
  } catch (const E& e) {
    const remote_info* info = remote_info::of(e);
    if (info != nullptr) return *info;
    ADD_FAILURE() << "no remote_info";
  } catch (const std::exception& e) {
    ADD_FAILURE() << e.what();
  }
  return {};
}

class exceptions : public pool_test {};
PROCPOOL_EVERY_METHOD(exceptions);

// ---- types --------------------------------------------------------------------------------------

TEST_P(exceptions, AreOfTheTypeThatWasRegistered) {
  pool p(with());
  try {
    p.apply(deep, 0);
    FAIL();
  } catch (const parse_error& e) {
    EXPECT_STREQ(e.what(), "bottom");
    EXPECT_EQ(e.line, 12);
    ASSERT_NE(remote_info::of(e), nullptr);
    EXPECT_NE(remote_info::of(e)->type.find("parse_error"), std::string::npos);
    EXPECT_EQ(remote_info::of(e)->what, "bottom");
  }
  try {
    p.apply([](const std::string& s) { throw verdict{s}; }, std::string("guilty"));
    FAIL();
  } catch (const verdict& v) {
    EXPECT_EQ(v.text, "guilty");
  }
}

TEST_P(exceptions, OfUnknownTypesComeAsTheNearestKnown) {
  pool p(with());
  const auto info = thrown_by<std::out_of_range>(
      [&] { p.apply([](int i) { throw bad_index("no " + std::to_string(i)); }, 3); });
  EXPECT_NE(info.type.find("bad_index"), std::string::npos);
  EXPECT_EQ(info.what, "no 3");
}

TEST_P(exceptions, EachItemOfAMapHasItsOwn) {
  pool p(with());
  const auto all = p.try_map(
      {.chunksize = 3},
      [](int i) -> int {
        if (i % 2 != 0) throw parse_error("odd", i);
        return i;
      },
      std::vector<int>{0, 1, 2, 3, 4, 5, 6, 7});
  for (int i = 0; i < 8; ++i) {
    const auto& o = all[static_cast<std::size_t>(i)];
    ASSERT_EQ(static_cast<bool>(o), i % 2 == 0);
    if (o) continue;
    try {
      std::rethrow_exception(o.error());
    } catch (const parse_error& e) {
      EXPECT_EQ(e.line, i);
    }
  }
}

// ---- where they were thrown ---------------------------------------------------------------------

TEST_P(exceptions, SayWhereTheyWereThrown) {
  pool p(with());
  const auto info = thrown_by<parse_error>([&] { p.apply(deep, 5); });
  ASSERT_FALSE(info.stack.empty());
  EXPECT_EQ(functions(info).front(), reinterpret_cast<void*>(deep));
  EXPECT_EQ(count(info, deep), 6);
  // Not the worker's own loop, nor how the worker came to be.
  EXPECT_LT(info.stack.size(), 30U);
}

TEST_P(exceptions, ThrownByALibrarySayWhoCalledIt) {
  pool p(with());
  const auto info = thrown_by<std::out_of_range>([&] { p.apply(reads_past, 7); });
  EXPECT_EQ(count(info, reads_past), 1);
}

TEST_P(exceptions, FromGreatDepthHaveTheirFirstFrames) {
  pool p(with());
  const auto info = thrown_by<parse_error>([&] { p.apply(deep, 500); });
  EXPECT_EQ(info.stack.size(), 64U);
  EXPECT_EQ(count(info, deep), 64);
}

TEST_P(exceptions, ThatTheTaskCaughtLeaveNoTrace) {
  pool p(with(1));
  EXPECT_EQ(p.apply(catches, 3), -1);
  const auto info = thrown_by<std::out_of_range>(
      [&] { p.apply([](int n) { return catches(n), reads_past(n); }, 9); });
  EXPECT_EQ(count(info, deep), 0);
  EXPECT_EQ(count(info, reads_past), 1);
}

TEST_P(exceptions, ThrownAgainSayWhere) {
  pool p(with());
  const auto again = thrown_by<parse_error>([&] { p.apply(throws_again, 3); });
  EXPECT_EQ(functions(again).front(), reinterpret_cast<void*>(throws_again));
  const auto moved = thrown_by<parse_error>([&] { p.apply(of_another_thread, 3); });
  EXPECT_EQ(functions(moved).front(), reinterpret_cast<void*>(of_another_thread));
}

TEST_P(exceptions, WithCausesSayWhereTheOuterWasThrown) {
  pool p(with());
  try {
    p.apply(
        [](int n) {
          try {
            return deep(n);
          } catch (...) {
            std::throw_with_nested(std::runtime_error("outer"));
          }
        },
        2);
    FAIL();
  } catch (const std::runtime_error& outer) {
    EXPECT_STREQ(outer.what(), "outer");
    EXPECT_FALSE(remote_info::of(outer)->stack.empty());
    const auto inner = thrown_by<parse_error>([&] { std::rethrow_if_nested(outer); });
    EXPECT_TRUE(inner.stack.empty());
  }
}

struct unreadable {
  int depth = 0;
  template <class Archive>
  void save(Archive& archive) const {
    archive(depth);
  }
  template <class Archive>
  void load(Archive& archive) {
    archive(depth);
    deep(depth);
  }
};

TEST_P(exceptions, OfACodecAreTheCauseAndHaveTheStack) {
  pool p(with());
  try {
    p.apply([](const unreadable&) {}, unreadable{2});
    FAIL();
  } catch (const procpool::serialization_error& e) {
    EXPECT_TRUE(remote_info::of(e)->stack.empty());
    const auto cause = thrown_by<parse_error>([&] { std::rethrow_if_nested(e); });
    EXPECT_EQ(count(cause, deep), 3);
  }
}

TEST_P(exceptions, ThatAreNoClassesHaveAStackToo) {
  pool p(with());
  const auto number =
      thrown_by<procpool::remote_error>([&] { p.apply([](int n) { throw n; }, 42); });
  EXPECT_EQ(number.type, "int");
  EXPECT_EQ(number.what, "42");
  EXPECT_FALSE(number.stack.empty());
  const auto text =
      thrown_by<procpool::remote_error>([&] { p.apply([](int) { throw "words"; }, 1); });
  EXPECT_EQ(text.what, "words");
  EXPECT_FALSE(text.stack.empty());
}

// Only what std::terminate prints says more.
TEST_P(exceptions, SayToWhoCatchesThemWhatTheFarOneSaid) {
  pool p(with());
  try {
    p.apply(deep, 1);
    FAIL();
  } catch (const std::exception& e) {
    EXPECT_STREQ(e.what(), "bottom");
    const auto again = std::current_exception();
    [&]() noexcept {
      try {
        std::rethrow_exception(again);
      } catch (const std::exception& inner) {
        EXPECT_STREQ(inner.what(), "bottom");
      }
    }();
  }
}

class exceptions_far : public pool_test {};
PROCPOOL_PROCESS_METHODS(exceptions_far);

TEST_P(exceptions_far, KeepTypeAndStackThroughAPoolInAWorker) {
  pool p(with(1));
  const auto info = thrown_by<parse_error>([&] {
    p.apply(
        [](int n) {
          pool inner(1);
          return inner.apply(deep, n);
        },
        4);
  });
  EXPECT_EQ(count(info, deep), 5);
  EXPECT_NE(info.pid, ::getpid());
}

}  // namespace
