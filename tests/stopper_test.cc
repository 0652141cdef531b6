// SPDX-License-Identifier: MIT
// The steps of stopping, by a clock that the test turns.
#include "core/stopper.h"

#include <gtest/gtest.h>

#include <optional>
#include <string>

namespace procpool::core {
namespace {

using namespace std::chrono_literals;

class stopper_test : public ::testing::Test {
 protected:
  void begin(worker_id w, const stop_steps& steps, bool running = true) {
    stops.begin(w, {7, 3, running, stop_reason::timeout, steps}, now);
  }
  /// The step that is due, as words; empty: none.
  std::string next() {
    const auto d = stops.next(now);
    if (!d) return {};
    const std::string who = std::to_string(d->worker) + " ";
    switch (d->what) {
      case stopper::step::token:
        return who + "token";
      case stopper::step::signal:
        return who + "signal " + std::to_string(d->signal);
      case stopper::step::kill:
        return who + "kill";
    }
    return {};
  }

  static constexpr auto never = clock::time_point::max();
  clock::time_point now{1h};
  stopper stops{3};
};

TEST_F(stopper_test, the_default_is_the_end_at_once) {
  EXPECT_EQ(stops.deadline(), never);
  begin(1, {});
  EXPECT_EQ(stops.deadline(), now);
  EXPECT_EQ(next(), "1 kill");
  EXPECT_EQ(next(), "");
  EXPECT_EQ(stops.deadline(), never);
  EXPECT_TRUE(stops.killed(1));
}

TEST_F(stopper_test, each_step_has_its_time) {
  begin(0, {.token_grace = 5ms, .signal = 15, .signal_grace = 7ms});
  EXPECT_EQ(next(), "0 token");
  EXPECT_EQ(next(), "");
  EXPECT_EQ(stops.deadline(), now + 5ms);
  now += 5ms;
  EXPECT_EQ(next(), "0 signal 15");
  EXPECT_EQ(stops.deadline(), now + 7ms);
  now += 6ms;
  EXPECT_EQ(next(), "");
  now += 1ms;
  EXPECT_EQ(next(), "0 kill");
  now += 1h;
  EXPECT_EQ(next(), "");
}

TEST_F(stopper_test, steps_may_be_left_out) {
  begin(0, {.token_grace = 5ms});
  EXPECT_EQ(next(), "0 token");
  now += 5ms;
  EXPECT_EQ(next(), "0 kill");
  begin(1, {.signal = 10, .signal_grace = 5ms});
  EXPECT_EQ(next(), "1 signal 10");
  now += 5ms;
  EXPECT_EQ(next(), "1 kill");
}

TEST_F(stopper_test, what_did_not_get_through_comes_again) {
  begin(0, {});
  EXPECT_EQ(next(), "0 kill");
  stops.later(0, stopper::step::kill, now + 1ms);
  EXPECT_FALSE(stops.killed(0));
  EXPECT_EQ(next(), "");
  now += 1ms;
  EXPECT_EQ(next(), "0 kill");
}

TEST_F(stopper_test, who_obeys_is_free_at_once) {
  begin(0, {.token_grace = 5ms});
  EXPECT_EQ(next(), "0 token");
  ASSERT_NE(stops.of(0), nullptr);
  EXPECT_EQ(stops.of(0)->item, 3u);
  EXPECT_TRUE(stops.item_ended(0));
  EXPECT_EQ(stops.of(0), nullptr);
  now += 1h;
  EXPECT_EQ(next(), "");
}

TEST_F(stopper_test, whose_end_is_on_its_way_stays_held_until_it_comes) {
  begin(0, {});
  EXPECT_EQ(next(), "0 kill");
  EXPECT_FALSE(stops.item_ended(0));
  ASSERT_NE(stops.of(0), nullptr);
  EXPECT_EQ(stops.of(0)->task, no_task);
  EXPECT_FALSE(stops.signal_was_sent(0));
  stops.end(0);
  EXPECT_EQ(stops.of(0), nullptr);
}

TEST_F(stopper_test, a_signal_that_is_on_its_way_keeps_it_held_and_nothing_follows) {
  begin(0, {.signal = 10, .signal_grace = 5ms});
  EXPECT_EQ(next(), "0 signal 10");
  EXPECT_FALSE(stops.item_ended(0));
  now += 1h;
  EXPECT_EQ(next(), "");
  EXPECT_TRUE(stops.signal_was_sent(0));
  EXPECT_EQ(stops.of(0), nullptr);
  // One that has come is no reason to wait.
  begin(0, {.signal = 10, .signal_grace = 5ms});
  EXPECT_EQ(next(), "0 signal 10");
  EXPECT_FALSE(stops.signal_was_sent(0));
  EXPECT_TRUE(stops.item_ended(0));
}

TEST_F(stopper_test, one_that_runs_nothing_has_time_to_say_so) {
  begin(0, {.token_grace = 5ms, .signal = 10}, false);
  EXPECT_EQ(next(), "");
  now += stopper::patience;
  EXPECT_EQ(next(), "0 kill");
}

TEST_F(stopper_test, workers_are_stopped_side_by_side) {
  begin(0, {.token_grace = 5ms});
  begin(2, {.token_grace = 2ms});
  EXPECT_EQ(next(), "0 token");
  EXPECT_EQ(next(), "2 token");
  EXPECT_EQ(stops.deadline(), now + 2ms);
  stops.end(2);
  EXPECT_EQ(stops.deadline(), now + 5ms);
  stops.clear();
  EXPECT_EQ(stops.deadline(), never);
  EXPECT_EQ(stops.of(0), nullptr);
}

}  // namespace
}  // namespace procpool::core
