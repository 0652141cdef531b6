// SPDX-License-Identifier: MIT
// The engine without memory: whichever allocation of its fails, every item still has an outcome,
// and the pool an end.
#include <algorithm>
#include <array>
#include <atomic>
#include <cstdlib>
#include <deque>
#include <limits>
#include <memory>
#include <new>
#include <string>
#include <thread>
#include <vector>

#include "engine_fixture.h"
#include "procpool/detail/results.h"
#include "procpool/stats.h"

namespace {

// Of the library's allocations so many succeed from now on, and as many fail after that.
std::atomic<long> to_succeed{0};
std::atomic<long> to_fail{0};
std::atomic<long> failed{0};
// The test's own always succeed.
thread_local bool is_test = false;

bool fails() {
  if (is_test || to_fail <= 0 || to_succeed-- > 0 || to_fail-- <= 0) return false;
  ++failed;
  return true;
}

}  // namespace

// NOLINTBEGIN(cppcoreguidelines-no-malloc)
void* operator new(std::size_t size) {
  if (fails()) throw std::bad_alloc();
  if (void* got = std::malloc(size == 0 ? 1 : size)) return got;
  throw std::bad_alloc();
}
void operator delete(void* got) noexcept { std::free(got); }
void operator delete(void* got, std::size_t) noexcept { std::free(got); }
// NOLINTEND(cppcoreguidelines-no-malloc)

namespace procpool::core {
namespace {

/// Counts the outcomes of up to 64 items, without memory.
class tally final : public detail::batch {
 public:
  void extend(std::size_t) override {}
  std::size_t deliver(const detail::reply& r) noexcept override {
    for (std::size_t i = r.first; i < r.first + r.done; ++i) ++outcomes[i];
    return bad_item >= r.first && bad_item < r.first + r.done ? 1 : 0;
  }
  std::size_t deliver_each(std::span<const std::shared_ptr<detail::batch>> calls,
                           const detail::reply&) noexcept override {
    for (const auto& call : calls) ++static_cast<tally&>(*call).outcomes[0];
    return 0;
  }
  void fail(std::size_t first, std::size_t count,
            const std::exception_ptr& error) noexcept override {
    EXPECT_NE(error, nullptr);
    for (std::size_t i = first; i < first + count; ++i) ++outcomes[i];
  }

  std::array<std::atomic<int>, 64> outcomes{};
  std::size_t bad_item = static_cast<std::size_t>(-1);
};

class engine_memory_test : public engine_test, public ::testing::WithParamInterface<long> {
 protected:
  engine_memory_test() { is_test = true; }
  ~engine_memory_test() override { is_test = false; }

  struct call {
    std::shared_ptr<tally> outcomes = std::make_shared<tally>();
    std::size_t items = 0;
    bool submitted = false;
    bool dropped = false;
  };

  /// Everything that the scenario then does with in_library(), and what the pool's thread does
  /// meanwhile.
  void arm() const {
    to_succeed = succeeding_;
    failed = 0;
    to_fail = GetParam();
  }
  /// False: it had no memory.
  template <class F>
  static bool in_library(F&& f) {
    is_test = false;
    bool done = true;
    try {
      f();
    } catch (...) {
      done = false;
    }
    is_test = true;
    return done;
  }
  call& submit(std::size_t n, detail::call_options options, std::size_t bad_item = 64) {
    call& c = calls_.emplace_back();
    c.items = n;
    c.outcomes->bad_item = bad_item;
    items input(n);
    c.submitted = in_library([&] { pool->submit(c.outcomes, entry, input, options); });
    return c;
  }

  /// A pool that goes on without memory is never quiet.
  void settle() {
    ASSERT_TRUE(eventually([this] { return fake->quiet() || failed > 1000; }));
  }
  void up(worker_id workers) {
    for (worker_id w = 0; w < workers; ++w) fake->up(w);
    settle();
  }
  /// Each worker answers up to so many of its tasks.
  void finish(int tasks) {
    for (int i = 0; i < tasks; ++i) {
      for (worker_id w : {0u, 1u})
        if (fake->held(w) != 0) fake->finish(w);
      settle();
    }
  }
  /// The scenario again and again: each time one more allocation succeeds before some fail.
  template <class F>
  void whichever_fails(F&& scenario) {
    for (succeeding_ = 0;; ++succeeding_) {
      SCOPED_TRACE("after " + std::to_string(succeeding_) + " allocations");
      make(2, 0);
      scenario();
      settle();
      ASSERT_NO_FATAL_FAILURE(end());
      if (failed == 0) break;
      ASSERT_LT(succeeding_, 1000);
    }
    EXPECT_GT(succeeding_, 0) << "nothing was allocated: the test is none";
  }

  std::deque<call> calls_;

 private:
  // All that is left to do is done; then nothing may be left of it.
  void end() {
    to_fail = 0;
    pool->close();
    ASSERT_TRUE(eventually([this] {
      finish(1);
      return pool->join(clock::now());
    })) << "it hangs: "
        << pool->to_string();
    const bool broken = pool->to_string().find("broken") != std::string::npos;
    for (const call& c : calls_) {
      EXPECT_TRUE(!c.submitted || c.outcomes->ready());
      for (std::size_t i = 0; i < c.items; ++i) {
        EXPECT_LE(c.outcomes->outcomes[i], 1) << "item " << i;
        EXPECT_GE(c.outcomes->outcomes[i], c.submitted && !c.dropped ? 1 : 0) << "item " << i;
      }
      EXPECT_EQ(c.outcomes.use_count(), 1) << "the engine still knows the call";
    }
    calls_.clear();
    const pool_stats s = pool->stats();
    EXPECT_EQ(s.submitted, s.done + s.failed);
    EXPECT_EQ(s.queued + s.running, 0u);
    if (broken) {
      auto late = std::make_shared<tally>();
      items input(1);
      EXPECT_THROW(pool->submit(late, entry, input, {}), pool_broken);
    } else {
      EXPECT_EQ(fake->unreleased(), 0u);
    }
    EXPECT_EQ(fake->blocks(), 0u);
    TearDown();
    ASSERT_FALSE(HasFailure());
  }

  long succeeding_ = 0;
};

// How many allocations fail in a row; the last: all of them, until the scenario is over.
INSTANTIATE_TEST_SUITE_P(failures, engine_memory_test,
                         ::testing::Values(1, 3, 100, std::numeric_limits<long>::max()));

TEST_P(engine_memory_test, one_chunk) {
  whichever_fails([this] {
    up(1);
    arm();
    submit(1, {.chunksize = 1, .one_chunk = true});
  });
}

TEST_P(engine_memory_test, a_map_in_many_chunks) {
  whichever_fails([this] {
    up(2);
    arm();
    submit(40, {.chunksize = 1});
  });
}

TEST_P(engine_memory_test, a_call_with_limits) {
  whichever_fails([this] {
    up(1);
    arm();
    task_options limits;
    limits.deadline = 1h;
    submit(4, {.chunksize = 2, .limits = &limits, .until = clock::now() + 1h});
  });
}

TEST_P(engine_memory_test, a_call_that_is_run) {
  whichever_fails([this] {
    arm();
    call& c = calls_.emplace_back();
    c.items = 1;
    items input(1);
    std::atomic<bool> over{false};
    std::jthread worker([&] {
      is_test = true;
      while (!fake->waiting() && !over) std::this_thread::yield();
      fake->up(0);
      while (fake->held(0) == 0 && !over) std::this_thread::yield();
      if (fake->held(0) != 0) fake->finish(0);
    });
    c.submitted = in_library(
        [&] { pool->run(c.outcomes, entry, input, {.chunksize = 1, .one_chunk = true}); });
    over = true;
  });
}

TEST_P(engine_memory_test, answers) {
  whichever_fails([this] {
    up(1);
    submit(6, {.chunksize = 2});
    arm();
    finish(3);
  });
}

TEST_P(engine_memory_test, an_item_that_fails_ends_its_call) {
  whichever_fails([this] {
    up(2);
    submit(12, {.chunksize = 3, .fail_fast = true}, 0);
    arm();
    finish(1);
  });
}

TEST_P(engine_memory_test, cancelling) {
  whichever_fails([this] {
    up(2);
    const call& c = submit(12, {.chunksize = 4});
    fake->run(0, 1);
    arm();
    in_library([&] { pool->cancel(*c.outcomes); });
    settle();
  });
}

TEST_P(engine_memory_test, a_deadline) {
  whichever_fails([this] {
    up(1);
    task_options limits;
    limits.deadline = 1h;
    arm();
    const auto until = clock::now() + 1ms;
    submit(8, {.chunksize = 4, .limits = &limits, .until = until});
    if (fake->held(0) != 0) fake->run(0, 1);
    ASSERT_TRUE(eventually([&] { return clock::now() > until; }));
    settle();
  });
}

TEST_P(engine_memory_test, deaths_with_retries_and_pauses) {
  whichever_fails([this] {
    up(1);
    task_options limits;
    limits.retries = 2;
    limits.backoff = 1ms;
    submit(6, {.chunksize = 6, .limits = &limits});
    arm();
    for (worker_id w : {0u, 1u}) {
      if (fake->held(w) != 0) {
        fake->claim(w, 5);
        fake->die(w, 2 * (1 - w));
      }
      fake->up(1 - w);
      settle();
      eventually([&] { return fake->held(1 - w) != 0; }, 5ms);
    }
  });
}

TEST_P(engine_memory_test, an_abandoned_call) {
  whichever_fails([this] {
    up(1);
    call& c = submit(12, {.chunksize = 4});
    c.dropped = true;
    arm();
    EXPECT_TRUE(in_library([&] { pool->abandon(*c.outcomes); }));
    settle();
  });
}

TEST_P(engine_memory_test, termination) {
  whichever_fails([this] {
    up(1);
    submit(12, {.chunksize = 4});
    arm();
    EXPECT_TRUE(in_library([this] { pool->terminate(); }));
  });
}

TEST_P(engine_memory_test, what_comes_after_a_result) {
  struct note final : detail::continuation {
    explicit note(int& into) : runs(into) {}
    void run() noexcept override { ++runs; }
    int& runs;
  };
  int runs = 0;
  int rounds = 0;
  whichever_fails([&] {
    ++rounds;
    up(1);
    std::vector<std::shared_ptr<tally>> all;
    for (int i = 0; i < 3; ++i)
      pool->then(*submit(1, {.chunksize = 1}).outcomes, std::make_unique<note>(runs));
    arm();
    finish(3);
  });
  EXPECT_EQ(runs, 3 * rounds);
}

TEST_P(engine_memory_test, results_gathered_as_they_come) {
  whichever_fails([this] {
    detail::inbox box;
    up(1);
    for (int i = 0; i < 3; ++i) {
      call& c = calls_.emplace_back();
      c.items = 1;
      c.outcomes->gather_in = &box;
      items input(1);
      pool->submit(c.outcomes, entry, input, {.chunksize = 1, .one_chunk = true});
      c.submitted = true;
    }
    arm();
    finish(3);
    std::vector<std::shared_ptr<detail::batch>> finished;
    for (std::size_t n = 0; n < 3; n = finished.size()) {
      ASSERT_TRUE(wait(box)) << finished.size();
      if (!in_library([&] { pool->collect(box, finished); })) pool->collect(box, finished);
    }
    ASSERT_EQ(finished.size(), 3u);
    for (const call& c : calls_)
      EXPECT_EQ(std::count(finished.begin(), finished.end(), c.outcomes), 1);
  });
}

TEST(results_test, of_a_map_whose_errors_found_no_memory_are_bad_alloc) {
  detail::many<int> results;
  results.extend(2);
  const auto error = std::make_exception_ptr(task_cancelled());
  to_succeed = 0;
  to_fail = 1;
  results.fail(0, 2, error);
  EXPECT_EQ(to_fail, 0);
  EXPECT_TRUE(results.failed());
  EXPECT_THROW(results.take_outcomes(), std::bad_alloc);
  EXPECT_THROW(results.take(), std::bad_alloc);
}

}  // namespace
}  // namespace procpool::core
