// SPDX-License-Identifier: MIT
// Workers that have no memory left, to the last bytes: each item has one outcome all the same, its
// own.
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <new>
#include <stdexcept>
#include <string>
#include <vector>

#include "procpool/procpool.h"
#include "support/fork_test.h"
#include "support/methods.h"
#include "support/own_memory.h"
#include "support/tasks.h"

namespace procpool::testing {
namespace {

/// Takes all the memory there is and keeps it: to the last few bytes.
struct link {
  link* next;
  char rest[56];
};
void take_all() {
  static link* all = nullptr;
  for (;;) all = new link{all, {}};
}

/// Counts item x's runs; in every tenth item the worker's memory goes for good; every tenth fails
/// otherwise.
template <class Result>
auto greedy(Result result) {
  return [result](int x) {
    ++testing::shared[x];
    if (x % 10 == 3) take_all();
    if (x % 10 == 5) throw std::domain_error("some other way to fail");
    return result(x);
  };
}

enum class end { value, no_memory, domain_error, died };
template <class R>
end end_of(const outcome<R>& o) {
  try {
    static_cast<void>(o.value());
    return end::value;
  } catch (const std::bad_alloc&) {
    return end::no_memory;
  } catch (const std::domain_error&) {
    return end::domain_error;
  } catch (const worker_died&) {
    return end::died;
  }
}

class no_memory : public process_test {
 protected:
  static pool_options tight(int processes) {
    pool_options o = of(processes);
    o.limits = {.data = 32 * MiB, .core = 0};
    return o;
  }
  /// Every item ran, once, and has the end that is its own: its value, or that there was no memory
  /// for it, or that the worker died of that. `needs_memory`: the result does.
  template <class Result>
  void expect_own_ends(std::size_t chunksize, Result result, bool needs_memory) {
    constexpr int n = 200;
    pool p(tight(2));
    const auto all = p.try_map({.chunksize = chunksize}, greedy(result), first(n));
    for (int i = 0; i < n; ++i) {
      SCOPED_TRACE(i);
      const auto& one = all[static_cast<std::size_t>(i)];
      EXPECT_EQ(testing::shared[i].exchange(0), 1);
      const end how = end_of(one);
      const bool lacked = how == end::no_memory || how == end::died;
      if (i % 10 == 3)
        EXPECT_TRUE(lacked);
      else if (i % 10 == 5)
        EXPECT_TRUE(lacked || how == end::domain_error);
      else if (how == end::value)
        EXPECT_EQ(one.value(), result(i));
      else
        EXPECT_TRUE(lacked && needs_memory);
    }
    EXPECT_EQ(p.map(square, first(100)), squares(100));
  }
  void SetUp() override {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    GTEST_SKIP() << "the sanitizer has mapped more than any limit";
#endif
  }
};
PROCPOOL_PROCESS_METHODS(no_memory);

TEST_P(no_memory, each_item_has_its_own_end) {
  for (const std::size_t chunksize : {1, 7, 200})
    expect_own_ends(
        chunksize, [](int x) { return x + 1; }, false);
}

TEST_P(no_memory, each_item_has_its_own_end_when_results_need_some_too) {
  for (const std::size_t chunksize : {1, 7, 200})
    expect_own_ends(
        chunksize, [](int x) { return std::string(500, static_cast<char>('a' + x % 26)); }, true);
}

// No worker will ever have room for these results: each item is the one that a worker dies of,
// once.
TEST_P(no_memory, what_no_worker_has_room_for_is_not_tried_for_ever) {
  pool_options o = tight(1);
  o.initializer = procpool::task([] {
    try {
      take_all();
    } catch (const std::bad_alloc&) {
    }
  });
  pool p(o);
  const auto all = p.try_map(
      {.chunksize = 30}, [](int x) { return std::int64_t{x}; }, first(30));
  for (std::size_t i = 0; i < 30; ++i)
    EXPECT_TRUE(end_of(all[i]) != end::value || all[i].value() == static_cast<std::int64_t>(i));
}

}  // namespace
}  // namespace procpool::testing
