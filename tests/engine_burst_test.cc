// SPDX-License-Identifier: MIT
// Calls one right after the other, for which nobody waits.
#include "core/burst.h"

#include <algorithm>
#include <memory>
#include <thread>
#include <vector>

#include "engine_fixture.h"

namespace procpool::core {
namespace {

constexpr clock::time_point start{1s};

TEST(burst, calls_in_quick_succession_are_one) {
  burst b;
  clock::time_point now = start;
  int turns = 0;
  for (int i = 0; i < 640; ++i) turns += b.submitted(now += 1us) ? 1 : 0;
  EXPECT_TRUE(b.on(now));
  EXPECT_GE(turns, 10);
  EXPECT_LE(turns, 20);
}

TEST(burst, a_few_calls_are_none) {
  burst b;
  for (int i = 0; i < 5; ++i) EXPECT_FALSE(b.submitted(start));
  EXPECT_FALSE(b.on(start));
}

TEST(burst, slow_calls_are_none) {
  burst b;
  clock::time_point now = start;
  for (int i = 0; i < 1000; ++i) EXPECT_FALSE(b.submitted(now += burst::usual_pause));
  EXPECT_FALSE(b.on(now));
}

TEST(burst, a_pause_ends_it_and_a_wait_is_none) {
  burst b;
  for (int i = 0; i < 100; ++i) b.submitted(start);
  EXPECT_EQ(b.end(), start + burst::usual_pause);
  b.waited(start + burst::usual_pause / 2);
  EXPECT_TRUE(b.on(start + burst::usual_pause));
  EXPECT_FALSE(b.on(b.end()));
  EXPECT_TRUE(b.begun());
  b.waited(b.end());
  EXPECT_FALSE(b.on(b.end())) << "a wait does not begin one";
  EXPECT_FALSE(b.begun()) << "nobody needs the time to know that it is over";
}

TEST(burst, waits_between_calls_do_not_keep_it_from_beginning) {
  burst b;
  for (int i = 0; i < 100; ++i) {
    b.submitted(start);
    b.waited(b.begun() ? start : clock::time_point::min());
  }
  EXPECT_TRUE(b.on(start));
}

class engine_burst : public engine_test {
 protected:
  /// Calls of one item, each answered when it has reached the worker.
  std::shared_ptr<recorder> call(std::function<void()> delivered) {
    auto made = std::make_shared<recorder>();
    made->gate = std::move(delivered);
    items input(1);
    detail::call_options options;
    options.chunksize = 1;
    options.one_chunk = true;
    pool->submit(made, entry, input, options);
    return made;
  }
  /// Until when the background thread sleeps; never, too, while it is awake.
  clock::time_point asleep_until() {
    const auto until = fake->background_deadline();
    return until == clock::time_point::min() ? detail::engine::never : until;
  }
};

TEST_F(engine_burst, whoever_submits_takes_in_what_came_back) {
  make(1, 1);
  const auto submitter = std::this_thread::get_id();
  std::atomic<int> here{0};
  std::vector<std::shared_ptr<recorder>> calls;
  EXPECT_TRUE(eventually([&] {
    for (int i = 0; i < 100; ++i) {
      calls.push_back(call([&] {
        if (std::this_thread::get_id() == submitter) ++here;
      }));
      if (fake->held(0) != 0) fake->finish(0);
    }
    return here != 0;
  }));
  for (const auto& c : calls) work_off(*c, {0});
}

TEST_F(engine_burst, what_comes_back_after_the_last_call_comes_too) {
  make(1, 1);
  for (int round = 0; round < 20; ++round) {
    std::vector<std::shared_ptr<recorder>> calls;
    for (int i = 0; i < 100; ++i) {
      calls.push_back(call(nullptr));
      if (i < 90 && fake->held(0) != 0) fake->finish(0);
    }
    for (const auto& c : calls) work_off(*c, {0});
    for (const auto& c : calls) EXPECT_EQ(c->all(), lines{by_0});
  }
}

TEST_F(engine_burst, afterwards_nobody_looks_again) {
  make(1, 1);
  std::vector<std::shared_ptr<recorder>> calls;
  for (int i = 0; i < 1000; ++i) {
    calls.push_back(call(nullptr));
    if (fake->held(0) != 0) fake->finish(0);
  }
  for (const auto& c : calls) work_off(*c, {0});
  EXPECT_TRUE(eventually([&] { return fake->background_deadline() == detail::engine::never; }));
}

// Each time is a system call of the submitter's.
TEST_F(engine_burst, the_background_thread_is_called_once_however_long_it_takes_to_come) {
  make(1, 1);
  std::vector<std::shared_ptr<recorder>> calls;
  EXPECT_TRUE(eventually([&] {
    if (fake->background_deadline() != detail::engine::never) return false;
    fake->hold_background(true);
    const int before = fake->interrupts();
    for (int i = 0; i < 1000; ++i) {
      calls.push_back(call(nullptr));
      if (fake->held(0) != 0) fake->finish(0);
    }
    const int called = fake->interrupts() - before;
    // Nobody else could have taken them in.
    const bool in_turns = std::ranges::any_of(calls, [](const auto& c) { return c->ready(); });
    fake->hold_background(false);
    for (const auto& c : calls) work_off(*c, {0});
    calls.clear();
    EXPECT_TRUE(called <= 2 || !in_turns) << called;
    return in_turns;
  }));
}

// Whoever makes the calls takes it back, when it is his turn.
TEST_F(engine_burst, the_background_thread_is_not_called_for_what_an_idle_worker_could_have) {
  asked.cpus = 1;
  asked.burst_pause = 50ms;
  make(2, 2);
  fake->set_nanoseconds(10'000);
  std::vector<std::shared_ptr<recorder>> calls;
  const auto make_calls = [&](std::size_t left_with_0) {
    for (int i = 0; i < 100; ++i) {
      calls.push_back(call(nullptr));
      while (fake->held(0) > left_with_0) fake->finish(0);
      while (fake->held(1) != 0) fake->finish(1);
    }
  };
  for (int round = 0; round < 20; ++round) {
    make_calls(0);
    ASSERT_TRUE(eventually([&] { return asleep_until() != detail::engine::never; }));
    fake->hold_background(true);
    const int before = fake->interrupts();
    make_calls(1);
    EXPECT_EQ(fake->interrupts(), before);
    fake->hold_background(false);
    for (const auto& c : calls) work_off(*c, {0, 1});
    calls.clear();
  }
}

// Whoever is in the middle of a burst would have to wake it when he lets go of the lock.
TEST_F(engine_burst, the_background_thread_is_put_off_without_the_lock) {
  asked.burst_pause = 50ms;
  make(1, 1);
  const auto submitter = std::this_thread::get_id();
  std::vector<std::shared_ptr<recorder>> calls;
  const auto make_calls = [&] {
    for (int i = 0; i < 100; ++i) {
      calls.push_back(call(nullptr));
      if (fake->held(0) != 0) fake->finish(0);
    }
  };
  std::atomic<bool> last{false};
  bool put_off = false;
  fake->at_flush([&] {
    if (!last || std::this_thread::get_id() != submitter) return;
    const auto first = asleep_until();
    const auto enough = clock::now() + 2 * asked.burst_pause;
    while (!put_off && clock::now() < enough) {
      const auto now = asleep_until();
      put_off = first < now && now != detail::engine::never;
    }
  });
  make_calls();
  ASSERT_TRUE(eventually([&] { return asleep_until() != detail::engine::never; }));
  for (int i = 0; i < 100 && !put_off; ++i) {
    make_calls();
    last = true;
    calls.push_back(call(nullptr));
    last = false;
  }
  fake->at_flush(nullptr);
  EXPECT_TRUE(put_off);
  for (const auto& c : calls) work_off(*c, {0});
}

}  // namespace
}  // namespace procpool::core
