// SPDX-License-Identifier: MIT
// Limits: what the engine does to workers by the clock, and what comes of items then.
#include "engine_fixture.h"

namespace procpool::core {
namespace {

class engine_limits_test : public engine_test {
 protected:
  std::shared_ptr<recorder> submit_with(std::size_t n, std::size_t chunk, const task_options& o) {
    auto call = std::make_shared<recorder>();
    submit(call, n, chunk, false, &o);
    return call;
  }
  /// Until the engine has done so much to stop a worker.
  void await(const lines& steps) {
    EXPECT_TRUE(eventually([&] { return fake->steps() == steps; }))
        << ::testing::PrintToString(fake->steps());
  }
  static constexpr task_options brief{.timeout = 10ms};
  // Long past any limit.
  const clock::time_point long_ago = clock::now() - 1h;
};

TEST_F(engine_limits_test, an_item_past_its_time_ends_its_worker_and_the_rest_runs_elsewhere) {
  make(2, 1);
  auto call = submit_with(4, 4, brief);
  fake->run(0, 1, long_ago);
  await({"kill"});
  EXPECT_TRUE(fake->is_held(0));
  fake->die(0, 1);
  fake->up(1);
  work_off(*call, {1});
  EXPECT_EQ(call->all(), (lines{by_0, "timed out", by_1, by_1}));
}

TEST_F(engine_limits_test, an_item_in_its_time_is_left_alone) {
  make(1, 1);
  auto call = submit_with(2, 2, {.timeout = 1h});
  fake->run(0, 0);
  settle();
  EXPECT_EQ(fake->steps(), lines{});
  EXPECT_FALSE(fake->is_held(0));
  work_off(*call, {0});
  EXPECT_EQ(call->all(), repeated(2, by_0));
}

TEST_F(engine_limits_test, what_ends_while_it_is_looked_at_counts) {
  make(1, 1);
  auto call = submit_with(3, 3, brief);
  fake->refuse_holds(true);
  fake->run(0, 0, long_ago);
  EXPECT_TRUE(eventually([&] { return fake->holds() > 2; })) << "it is tried again and again";
  fake->refuse_holds(false);
  fake->finish(0);
  EXPECT_TRUE(wait(*call));
  EXPECT_EQ(call->all(), repeated(3, by_0));
  EXPECT_EQ(fake->steps(), lines{});
}

TEST_F(engine_limits_test, who_obeys_lives_on_and_gives_the_rest_back) {
  make(1, 1);
  auto call = submit_with(3, 3, {.timeout = 10ms, .stop_steps = stop_steps{.token_grace = 1h}});
  fake->run(0, 1, long_ago);
  await({"token"});
  EXPECT_TRUE(fake->is_held(0));
  fake->stop_at(0, 2);  // the worker takes it for done
  ASSERT_TRUE(eventually([&] { return !fake->is_held(0); }));
  work_off(*call, {0});
  EXPECT_EQ(call->all(), (lines{by_0, "timed out", by_0}));
  EXPECT_EQ(fake->steps(), lines{"token"});
}

TEST_F(engine_limits_test, the_steps_come_in_order_while_nothing_helps) {
  make(1, 1);
  auto call = submit_with(
      1, 1,
      {.timeout = 10ms,
       .stop_steps = stop_steps{.token_grace = 5ms, .signal = 15, .signal_grace = 5ms}});
  fake->run(0, 0, long_ago);
  await({"token", "signal 15", "kill"});
  fake->die(0, 0);
  EXPECT_TRUE(wait(*call));
  EXPECT_EQ(call->all(), lines{"timed out"});
}

// The item has ended by itself, but what was sent to end its worker comes all the same.
TEST_F(engine_limits_test, a_worker_whose_end_is_on_its_way_gets_nothing_any_more) {
  make(1, 1);
  auto call = submit_with(1, 1, brief);
  fake->run(0, 0, long_ago);
  await({"kill"});
  auto next = submit(2, 1);
  fake->stop_at(0, 1);
  EXPECT_TRUE(wait(*call));
  EXPECT_EQ(call->all(), lines{"timed out"});
  settle();
  EXPECT_TRUE(fake->is_held(0)) << "or what it holds would begin, and die with it";
  fake->die(0, 0, false);
  EXPECT_EQ(next->count(""), 2u);
  fake->up(0);
  work_off(*next, {0});
  EXPECT_EQ(next->all(), repeated(2, by_0));
}

TEST_F(engine_limits_test, a_worker_is_held_until_its_signal_has_met_it) {
  make(1, 1);
  fake->delay_signals(true);
  auto call = submit_with(
      1, 1, {.timeout = 10ms, .stop_steps = stop_steps{.signal = 10, .signal_grace = 1h}});
  fake->run(0, 0, long_ago);
  await({"signal 10"});
  fake->stop_at(0, 1);
  EXPECT_TRUE(wait(*call));
  settle();
  EXPECT_TRUE(fake->is_held(0));
  fake->delay_signals(false);
  EXPECT_TRUE(eventually([&] { return !fake->is_held(0); }));
}

TEST_F(engine_limits_test, cancel_stops_what_runs) {
  make(1, 1);
  auto call = submit(6, 2);
  fake->run(0, 1);
  EXPECT_TRUE(pool->cancel(*call));
  EXPECT_TRUE(pool->cancel(*call)) << "a second time";
  EXPECT_FALSE(call->ready());
  EXPECT_EQ(fake->steps(), lines{"kill"});
  fake->die(0, 1);
  EXPECT_TRUE(wait(*call));
  EXPECT_EQ(call->all(),
            (lines{by_0, "cancelled", "cancelled", "cancelled", "cancelled", "cancelled"}));
}

// cancel() says that the result will be task_cancelled.
TEST_F(engine_limits_test, cancel_of_what_is_being_stopped_for_its_time_has_the_last_word) {
  make(1, 1);
  auto call = submit_with(
      1, 1, {.timeout = 10ms, .retries = 1, .stop_steps = stop_steps{.token_grace = 1h}});
  fake->run(0, 0, long_ago);
  await({"token"});
  EXPECT_TRUE(pool->cancel(*call));
  fake->stop_at(0, 1);
  EXPECT_TRUE(wait(*call));
  EXPECT_EQ(call->all(), lines{"cancelled"});
}

TEST_F(engine_limits_test, cancel_takes_back_what_was_claimed_and_has_not_begun) {
  make(1, 1);
  auto call = submit(4, 4);
  fake->claim(0, 2);
  EXPECT_TRUE(pool->cancel(*call));
  EXPECT_TRUE(fake->is_held(0));
  fake->stop_at(0, 0);
  EXPECT_TRUE(wait(*call));
  EXPECT_EQ(call->all(), repeated(4, "cancelled"));
  EXPECT_EQ(fake->steps(), lines{});
  EXPECT_TRUE(eventually([&] { return !fake->is_held(0); }));
}

// It may hang between two items, in the user's code that decodes the callable.
TEST_F(engine_limits_test, a_held_worker_that_does_not_answer_is_ended) {
  make(1, 1);
  auto call = submit(4, 4);
  fake->claim(0, 2);
  EXPECT_TRUE(pool->cancel(*call));
  await({"kill"});
  fake->die(0, 0, false);
  EXPECT_TRUE(wait(*call));
  EXPECT_EQ(call->all(), repeated(4, "cancelled"));
}

TEST_F(engine_limits_test, a_deadline_ends_the_whole_call) {
  make(2, 0);
  auto call = submit_with(6, 1, {.deadline = 1s});
  auto other = submit(2, 1);
  for (worker_id w : {0u, 1u}) {  // more is queued than they hold: neither takes from the other
    fake->up(w);
    ASSERT_TRUE(eventually([&] { return fake->held(w) != 0; }));
    fake->run(w, 0);
  }
  await({"kill", "kill"});
  fake->die(0, 0);
  fake->die(1, 0);
  EXPECT_TRUE(wait(*call));
  EXPECT_EQ(call->all(), repeated(6, "too late"));
  fake->up(0);
  work_off(*other, {0});
  EXPECT_EQ(other->all(), repeated(2, by_0));
}

TEST_F(engine_limits_test, a_deadline_is_tried_again_when_the_system_refuses) {
  make(1, 1);
  fake->refuse_holds(true);
  auto call = submit_with(1, 1, {.deadline = 1s});
  fake->run(0, 0);
  EXPECT_TRUE(eventually([&] { return fake->holds() > 2; }));
  fake->refuse_holds(false);
  await({"kill"});
  fake->die(0, 0);
  EXPECT_TRUE(wait(*call));
  EXPECT_EQ(call->all(), lines{"too late"});
}

TEST_F(engine_limits_test, what_dies_is_run_again_so_often_and_alone) {
  make(2, 1);
  auto call = submit_with(3, 3, {.retries = 1});
  fake->claim(0, 3);
  fake->die(0, 1);
  settle();
  fake->up(1);
  ASSERT_TRUE(eventually([&] { return fake->held(1) == 2; }));
  EXPECT_EQ(fake->ring(1).front().count, 1u) << "the item that may be to blame";
  work_off(*call, {1});
  EXPECT_EQ(call->all(), (lines{by_0, by_1, by_1}));
}

TEST_F(engine_limits_test, a_pool_that_is_terminated_forgets_what_it_was_stopping) {
  make(1, 1);
  auto call = submit_with(2, 2, {.timeout = 10ms, .stop_steps = stop_steps{.token_grace = 1h}});
  fake->run(0, 0, long_ago);
  await({"token"});
  pool->terminate();
  EXPECT_TRUE(wait(*call));
  EXPECT_EQ(call->all(), repeated(2, "terminated"));
}

}  // namespace
}  // namespace procpool::core
