// SPDX-License-Identifier: MIT
// What happens to items, calls and waiters, whatever happens to workers.
#include "engine_fixture.h"

namespace procpool::core {
namespace {

// ---- submitting ---------------------------------------------------------------------------------

TEST_F(engine_test, every_item_arrives_once_and_the_slots_are_given_back) {
  make(2, 2);
  auto call = submit(10, 3);
  EXPECT_FALSE(call->ready());
  work_off(*call, {0, 1});
  EXPECT_TRUE(wait(*call));
  for (const std::string& item : call->all()) EXPECT_TRUE(item == by_0 || item == by_1) << item;
  settle();
  EXPECT_EQ(fake->unreleased(), 0u);
}

TEST_F(engine_test, no_more_is_sent_ahead_than_two_unknown_tasks_a_worker) {
  make(2, 2);
  auto call = submit(100, 1);
  EXPECT_EQ(fake->held(0), 2u);
  EXPECT_EQ(fake->held(1), 2u);
  fake->finish(0);
  ASSERT_TRUE(eventually([&] { return fake->held(0) == 2; }));
  settle();
  EXPECT_EQ(fake->held(0) + fake->held(1), 4u);
  pool->abandon(*call);
}

TEST_F(engine_test, what_is_submitted_before_a_worker_is_there_waits_for_it) {
  make(1, 0);
  auto call = submit(3, 1);
  EXPECT_EQ(fake->held(0), 0u);
  fake->up(0);
  work_off(*call, {0});
  EXPECT_EQ(call->all(), repeated(3, by_0));
}

TEST_F(engine_test, an_empty_input_is_ready_and_reaches_no_worker) {
  make(1, 1);
  auto call = submit(0, 4);
  EXPECT_TRUE(call->ready());
  EXPECT_EQ(fake->held(0), 0u);
}

TEST_F(engine_test, an_input_that_throws_drops_what_was_queued_of_it) {
  make(1, 1);
  auto call = std::make_shared<recorder>();
  items input(10);
  input.before = [](std::uint32_t i) {
    if (i == 7) throw std::runtime_error("the input");
  };
  detail::call_options options;
  options.chunksize = 2;
  EXPECT_THROW(pool->submit(call, entry, input, options), std::runtime_error);
  auto next = submit(1, 1);
  work_off(*next, {0});
  EXPECT_EQ(next->all(), repeated(1, by_0));
  settle();
  EXPECT_EQ(fake->blocks(), 0u);
}

TEST_F(engine_test, the_blocks_of_large_parcels_are_freed_with_the_last_of_their_items) {
  make(2, 1);
  auto call = submit(40'000, 20'000);
  EXPECT_EQ(fake->blocks(), 2u);
  ASSERT_EQ(fake->held(0), 2u);
  fake->die(0, 5);  // the rest of its parcel is still needed
  settle();
  EXPECT_EQ(fake->blocks(), 2u);
  fake->up(1);
  work_off(*call, {1});
  settle();
  EXPECT_EQ(fake->blocks(), 0u);
  EXPECT_EQ(call->count("died at 5 of 9"), 1u);
  EXPECT_EQ(call->count(by_1), 40'000u - 6);
}

TEST_F(engine_test, a_task_that_cannot_be_sent_fails_and_the_others_go_on) {
  make(1, 1);
  fake->fail_send(2);
  auto call = submit(3, 1);
  work_off(*call, {0});
  EXPECT_EQ(call->all(), (lines{by_0, "no memory", by_0}));
}

TEST_F(engine_test, a_wait_that_is_over_at_once_leaves_what_comes_to_the_background) {
  make(1, 1);
  fake->fail_send(1);
  items input(1);
  detail::call_options options;
  options.chunksize = 1;
  options.one_chunk = true;
  auto first = std::make_shared<recorder>();
  pool->run(first, entry, input, options);
  EXPECT_EQ(first->all(), lines{"no memory"});
  auto second = submit(1, 1);
  fake->finish(0);
  EXPECT_TRUE(eventually([&] { return second->ready(); }));
}

// An exception in the loop itself: every item still has an outcome, whatever had been taken in by
// then.
TEST_F(engine_test, without_memory_in_the_parent_the_pool_breaks_and_nobody_waits_for_ever) {
  make(1, 1);
  auto call = submit(3, 1, true);
  call->bad_item = 0;
  fake->fail_recalls();  // fail_fast takes back the others
  fake->claim(0, 1);
  fake->finish(0);
  ASSERT_TRUE(pool->wait(*call, detail::engine::clock::now() + 10s));
  EXPECT_EQ(call->all()[0], "bad");
  for (std::size_t i : {1u, 2u}) EXPECT_NE(call->all()[i], "");
  EXPECT_EQ(pool->stats().failed, 3u);
  EXPECT_EQ(pool->stats().queued + pool->stats().running, 0u);
  EXPECT_THROW(submit(1, 1), pool_broken);
  EXPECT_TRUE(fake->killed());
}

TEST_F(engine_test, what_was_read_before_the_pool_broke_keeps_its_result) {
  make(2, 1);
  auto before = std::make_shared<recorder>();
  slow_reading reading(*before);
  submit(before, 1, 1);
  fake->claim(0, 1);
  fake->up(1);
  settle();
  auto call = std::make_shared<recorder>();
  call->bad_item = 0;
  submit(call, 12, 2, true);
  fake->fail_recalls();
  fake->finish(0);
  ASSERT_TRUE(reading.begins());
  fake->finish(1);  // the bad one, whose call takes back the others
  fake->finish(0);  // read in the same step
  reading.let_go();
  ASSERT_TRUE(wait(*call));
  EXPECT_EQ(call->all()[2], by_0);
  EXPECT_EQ(call->count("broken"), 8u);
  EXPECT_EQ(pool->stats().done, 4u);
}

// ---- deaths -------------------------------------------------------------------------------------

TEST_F(engine_test, a_death_costs_the_item_that_ran_and_no_other) {
  make(2, 1);
  auto call = submit(10, 5);
  ASSERT_EQ(fake->held(0), 2u);
  fake->claim(0, 4);
  fake->die(0, 2);  // 0 and 1 are done, 2 kills it; 3, 4 and the task behind are still to do
  settle();
  EXPECT_EQ(call->all(), (lines{by_0, by_0, "died at 2 of 9", "", "", "", "", "", "", ""}));
  fake->up(1);
  work_off(*call, {1});
  EXPECT_EQ(call->all(),
            (lines{by_0, by_0, "died at 2 of 9", by_1, by_1, by_1, by_1, by_1, by_1, by_1}));
  EXPECT_EQ(fake->buried(), (std::vector<worker_id>{0}));
  EXPECT_EQ(fake->unreleased(), 0u);
}

TEST_F(engine_test, a_death_between_two_items_costs_none) {
  make(2, 1);
  auto call = submit(4, 4);
  fake->claim(0, 4);
  fake->die(0, 2, false);
  settle();
  fake->up(1);
  work_off(*call, {1});
  EXPECT_EQ(call->all(), (lines{by_0, by_0, by_1, by_1}));
}

TEST_F(engine_test, a_death_before_the_first_item_sends_the_whole_task_again) {
  make(2, 1);
  auto call = submit(4, 2);
  fake->die(0, 0, false);
  settle();
  fake->up(1);
  work_off(*call, {1});
  EXPECT_EQ(call->all(), repeated(4, by_1));
}

TEST_F(engine_test, the_last_item_of_a_task_may_be_the_one_that_kills) {
  make(1, 1);
  auto call = submit(3, 3);
  fake->die(0, 2, true, 11);
  EXPECT_TRUE(wait(*call));
  EXPECT_EQ(call->all(), (lines{by_0, by_0, "died at 2 of 11"}));
}

TEST_F(engine_test, the_place_of_a_dead_worker_is_free_only_once_its_reply_has_been_read) {
  make(2, 1);
  auto call = std::make_shared<recorder>();
  slow_reading reading(*call);
  submit(call, 2, 2);
  fake->die(0, 1);
  ASSERT_TRUE(reading.begins());
  EXPECT_TRUE(fake->buried().empty());
  reading.let_go();
  EXPECT_TRUE(wait(*call));
  EXPECT_TRUE(eventually([&] { return fake->buried().size() == 1; }));
}

TEST_F(engine_test, one_that_retires_in_the_middle_leaves_the_rest_to_others) {
  asked.quota = 3;
  make(2, 1);
  auto call = submit(8, 4);
  fake->claim(0, 3);
  fake->retire(0, 3);
  settle();
  fake->up(1);
  work_off(*call, {1});
  EXPECT_EQ(call->all(), (lines{by_0, by_0, by_0, by_1, by_1, by_1, by_1, by_1}));
}

// ---- taking back --------------------------------------------------------------------------------

TEST_F(engine_test, an_idle_worker_gets_what_a_busy_one_has_not_begun) {
  make(2, 1);
  auto call = submit(2, 1);
  fake->claim(0, 1);
  ASSERT_EQ(fake->held(0), 2u);
  fake->up(1);  // nobody waits; the pool's own thread sees to it
  ASSERT_TRUE(eventually([&] { return fake->held(1) == 1; }));
  fake->finish(1);
  settle();
  EXPECT_EQ(call->all(), (lines{"", by_1}));
  work_off(*call, {0});
  EXPECT_EQ(call->all(), (lines{by_0, by_1}));
}

TEST_F(engine_test, of_a_task_that_runs_the_unclaimed_half_is_shared) {
  make(2, 1);
  auto call = submit(100, 100);
  fake->claim(0, 20);
  fake->up(1);
  ASSERT_TRUE(eventually([&] { return fake->held(1) == 1; }));
  EXPECT_EQ(fake->ring(0)[0].kept, 60u);
  EXPECT_EQ(fake->ring(1)[0].first, 60u);
  EXPECT_EQ(fake->ring(1)[0].count, 40u);
  work_off(*call, {0, 1});
  EXPECT_EQ(call->count(by_0) + call->count(by_1), 100u);
}

// ---- cancel, fail fast, abandon -----------------------------------------------------------------

TEST_F(engine_test, what_has_not_started_can_be_cancelled) {
  make(1, 1);
  auto call = submit(10, 2);
  ASSERT_NE(fake->held(0), 0u);
  EXPECT_TRUE(pool->cancel(*call));
  EXPECT_TRUE(call->ready());
  EXPECT_EQ(call->all(), repeated(10, "cancelled"));
  EXPECT_FALSE(pool->cancel(*call)) << "a second time";
  // What is left of it in the ring is answered with nothing, and nothing comes of it.
  auto next = submit(1, 1);
  work_off(*next, {0});
  EXPECT_EQ(next->all(), repeated(1, by_0));
  EXPECT_EQ(call->all(), repeated(10, "cancelled"));
}

TEST_F(engine_test, a_worker_that_dies_over_what_was_cancelled_brings_nothing_back) {
  make(2, 1);
  auto call = submit(4, 2);
  EXPECT_TRUE(pool->cancel(*call));
  fake->die(0, 0, false);
  fake->up(1);
  settle();
  EXPECT_EQ(fake->held(1), 0u);
  EXPECT_EQ(call->all(), repeated(4, "cancelled"));
}

TEST_F(engine_test, the_first_failure_drops_what_has_not_started_when_asked) {
  make(1, 1);
  auto call = std::make_shared<recorder>();
  call->bad_item = 1;
  submit(call, 10, 2, true);
  fake->claim(0, 2);
  fake->finish(0);
  ASSERT_TRUE(eventually([&] { return call->ready(); }));
  EXPECT_EQ(call->all(), (lines{by_0, "bad", "cancelled", "cancelled", "cancelled", "cancelled",
                                "cancelled", "cancelled", "cancelled", "cancelled"}));
}

TEST_F(engine_test, and_lets_end_what_has) {
  make(2, 0);
  auto call = std::make_shared<recorder>();
  call->bad_item = 0;
  submit(call, 4, 1, true);
  for (worker_id w : {0u, 1u}) {  // 0 and 1 here, 2 and 3 there; the first of each runs
    fake->up(w);
    ASSERT_TRUE(eventually([&] { return fake->held(w) == 2; }));
    ASSERT_EQ(fake->claim(w, 1), 1u);
  }
  fake->finish(0);
  ASSERT_TRUE(eventually([&] { return call->count("cancelled") == 2; }));
  EXPECT_FALSE(call->ready());
  work_off(*call, {0, 1});
  EXPECT_EQ(call->all(), (lines{"bad", "cancelled", by_1, "cancelled"}));
}

TEST_F(engine_test, without_being_asked_a_failure_drops_nothing) {
  make(1, 1);
  auto call = std::make_shared<recorder>();
  call->bad_item = 0;
  submit(call, 4, 1);
  work_off(*call, {0});
  EXPECT_EQ(call->all(), (lines{"bad", by_0, by_0, by_0}));
}

TEST_F(engine_test, a_failure_while_the_call_is_still_being_submitted_drops_what_follows_too) {
  make(1, 1);
  auto call = std::make_shared<recorder>();
  call->bad_item = 0;
  items input(6);
  input.before = [&](std::uint32_t i) {
    if (i != 2) return;
    fake->finish(0);  // item 0, which fails
    EXPECT_TRUE(eventually([&] { return fake->unreleased() == 0 && fake->quiet(); }));
  };
  detail::call_options options;
  options.chunksize = 1;
  options.fail_fast = true;
  EXPECT_EQ(pool->submit(call, entry, input, options), 6u);
  EXPECT_TRUE(call->ready());
  EXPECT_EQ(call->all(),
            (lines{"bad", "cancelled", "cancelled", "cancelled", "cancelled", "cancelled"}));
}

TEST_F(engine_test, what_nobody_wants_is_dropped_without_a_word) {
  make(1, 1);
  auto call = submit(10, 2);
  fake->claim(0, 1);
  pool->abandon(*call);
  EXPECT_FALSE(call->ready()) << "an item of it runs";
  EXPECT_EQ(fake->ring(0)[0].kept, 1u);
  fake->finish(0);
  ASSERT_TRUE(eventually([&] { return call->ready(); }));
  EXPECT_EQ(call->all(), repeated(10, ""));
  auto next = submit(1, 1);
  work_off(*next, {0});
  EXPECT_EQ(next->all(), repeated(1, by_0));
}

TEST_F(engine_test, what_nobody_wants_is_not_run_again_after_a_death) {
  make(2, 1);
  auto call = submit(10, 5);
  fake->claim(0, 4);
  pool->abandon(*call);
  fake->die(0, 1);  // 2 and 3 were claimed and had not begun
  fake->up(1);
  settle();
  EXPECT_EQ(fake->held(1), 0u);
  EXPECT_TRUE(call->ready());
}

// ---- the end ------------------------------------------------------------------------------------

TEST_F(engine_test, termination_fails_what_is_queued_sent_and_running) {
  make(2, 2);
  auto call = submit(20, 2);
  auto other = submit(1, 1);
  fake->claim(0, 1);
  pool->terminate();
  EXPECT_TRUE(call->ready());
  EXPECT_TRUE(other->ready());
  EXPECT_EQ(call->all(), repeated(20, "terminated"));
  EXPECT_EQ(other->all(), repeated(1, "terminated"));
  EXPECT_TRUE(fake->killed());
  fake->finish(0);  // it came too late
  fake->die(1, 1);
  settle();
  EXPECT_EQ(call->all(), repeated(20, "terminated"));
  pool->terminate();
  items input(1);
  EXPECT_THROW(pool->submit(call, entry, input, {}), pool_closed);
  EXPECT_TRUE(pool->join(clock::now() + 10s));
}

TEST_F(engine_test, termination_wakes_who_waits_and_who_submits) {
  make(1, 1);
  auto call = submit(4, 2);
  std::thread waiter([&] { EXPECT_TRUE(wait(*call)); });
  std::atomic<bool> submitting{false};
  std::thread submitter([&] {
    items input(1000);
    input.known = false;
    input.before = [&](std::uint32_t i) {
      if (i != 10) return;
      submitting = true;
      EXPECT_TRUE(eventually([&] { return fake->killed(); }));
    };
    detail::call_options options;
    options.chunksize = 1;
    EXPECT_THROW(pool->submit(std::make_shared<recorder>(), entry, input, options),
                 pool_terminated);
  });
  ASSERT_TRUE(eventually([&] { return submitting.load(); }));
  pool->terminate();
  waiter.join();
  submitter.join();
  EXPECT_EQ(call->all(), repeated(4, "terminated"));
}

TEST_F(engine_test, termination_while_a_reply_is_being_read_lets_it_be_read) {
  make(1, 1);
  auto call = std::make_shared<recorder>();
  slow_reading reading(*call);
  submit(call, 4, 2);
  fake->finish(0);
  ASSERT_TRUE(reading.begins());
  pool->terminate();
  EXPECT_FALSE(call->ready()) << "somebody still writes to it";
  reading.let_go();
  EXPECT_TRUE(wait(*call));
  EXPECT_EQ(call->all(), (lines{by_0, by_0, "terminated", "terminated"}));
}

// What one worker took from another has left a trace with that one, of no item.
TEST_F(engine_test, termination_while_the_reply_of_another_worker_is_being_read_lets_it_be_read) {
  make(2, 1);
  auto before = submit(1, 1);
  auto call = std::make_shared<recorder>();
  slow_reading reading(*call);
  submit(call, 1, 1);
  fake->claim(0, 1);
  fake->up(1);
  ASSERT_TRUE(eventually([&] { return fake->held(1) == 1; }));
  fake->finish(1);
  ASSERT_TRUE(reading.begins());
  pool->terminate();
  reading.let_go();
  EXPECT_TRUE(wait(*call));
  EXPECT_EQ(call->all(), lines{by_1});
  EXPECT_EQ(before->all(), lines{"terminated"});
}

TEST_F(engine_test, a_broken_pool_fails_everything_with_the_reason_and_takes_nothing_more) {
  make(1, 0);
  auto call = submit(3, 1);
  fake->break_down({true, "the initializer", nullptr});
  EXPECT_TRUE(wait(*call));
  EXPECT_EQ(call->all(), repeated(3, "initializer failed"));
  items input(1);
  EXPECT_THROW(pool->submit(call, entry, input, {}), initializer_failed);
  EXPECT_NE(pool->to_string().find("broken"), std::string::npos);
}

TEST_F(engine_test, a_pool_without_its_zygote_is_broken_too) {
  make(1, 1);
  auto call = submit(3, 1);
  fake->break_down({false, "the zygote", nullptr});
  EXPECT_TRUE(wait(*call));
  EXPECT_EQ(call->all(), repeated(3, "broken"));
}

TEST_F(engine_test, joining_comes_after_closing) {
  make(1, 1);
  EXPECT_THROW(pool->join(clock::now()), std::logic_error);
  auto call = submit(2, 1);
  pool->close();
  items input(1);
  EXPECT_THROW(pool->submit(std::make_shared<recorder>(), entry, input, {}), pool_closed);
  EXPECT_FALSE(pool->join(clock::now() + 20ms)) << "there is work to do";
  EXPECT_FALSE(fake->retired());
  work_off(*call, {0});
  EXPECT_TRUE(pool->join(clock::now() + 10s));
  EXPECT_TRUE(fake->retired());
  EXPECT_FALSE(fake->killed());
  EXPECT_EQ(call->all(), repeated(2, by_0));
  EXPECT_TRUE(pool->join(clock::now()));
}

TEST_F(engine_test, any_number_of_threads_may_join) {
  make(1, 1);
  auto call = submit(1, 1);
  pool->close();
  std::vector<std::thread> all;
  for (int i = 0; i < 4; ++i) all.emplace_back([&] { EXPECT_TRUE(pool->join(engine::never)); });
  ASSERT_TRUE(eventually([&] { return fake->waiting(); }));
  fake->finish(0);
  for (std::thread& t : all) t.join();
}

// ---- waiting ------------------------------------------------------------------------------------

TEST_F(engine_test, a_wait_ends_at_its_deadline_and_can_be_repeated) {
  make(1, 1);
  auto call = submit(1, 1);
  auto begun = clock::now();
  EXPECT_FALSE(wait(*call, 20ms));
  EXPECT_GE(clock::now() - begun, 20ms);
  EXPECT_FALSE(wait(*call, 0ms));
  fake->finish(0);
  EXPECT_TRUE(wait(*call));
}

TEST_F(engine_test, who_waits_drives_and_hands_over_when_it_leaves) {
  std::shared_ptr<recorder> first;
  std::shared_ptr<recorder> second;
  two_calls(first, second);
  std::thread one([&] { EXPECT_TRUE(pool->wait(*first, engine::never)); });
  ASSERT_TRUE(eventually([&] { return fake->waiting(); }));
  std::thread two([&] { EXPECT_TRUE(pool->wait(*second, engine::never)); });
  fake->finish(0);
  one.join();
  fake->finish(1);
  two.join();
}

TEST_F(engine_test, the_one_that_drives_wakes_those_whose_results_came) {
  std::shared_ptr<recorder> first;
  std::shared_ptr<recorder> second;
  two_calls(first, second);
  std::thread driver([&] { EXPECT_TRUE(pool->wait(*first, engine::never)); });
  ASSERT_TRUE(eventually([&] { return fake->waiting(); }));
  std::thread other([&] { EXPECT_TRUE(pool->wait(*second, engine::never)); });
  fake->finish(1);
  other.join();
  EXPECT_FALSE(first->ready());
  fake->finish(0);
  driver.join();
}

TEST_F(engine_test, results_come_although_nobody_waits) {
  make(1, 1);
  auto call = submit(3, 1);
  work_off(*call, {0});
  EXPECT_EQ(call->all(), repeated(3, by_0));
}

// Whoever drove slept until the next deadline; once it has left, somebody else must.
TEST_F(engine_test, a_deadline_is_watched_by_the_background_when_the_one_that_drove_has_left) {
  make(1, 1);
  auto call = submit(1, 1);
  std::thread driver([&] { EXPECT_FALSE(wait(*call, 200ms)); });
  ASSERT_TRUE(eventually([&] { return fake->waiting(); }));
  auto due = clock::now() + 1h;
  fake->set_deadline(due);  // as when a fork was refused
  driver.join();
  EXPECT_TRUE(eventually([&] { return fake->background_deadline() == due; }, 2s))
      << "nobody will try again in time";
}

struct on_ready final : detail::continuation {
  explicit on_ready(std::function<void()> f) : call(std::move(f)) {}
  void run() noexcept override { call(); }
  std::function<void()> call;
};

TEST_F(engine_test, a_continuation_runs_on_the_pools_thread_and_cannot_wait_there) {
  make(1, 1);
  auto call = submit(1, 1);
  auto other = submit(1, 1);
  std::atomic<int> result{0};
  pool->then(*call, std::make_unique<on_ready>([&] {
    try {
      pool->wait(*other, engine::never);
      result = 1;
    } catch (const std::logic_error&) {
      result = 2;
    }
  }));
  fake->finish(0);
  EXPECT_TRUE(eventually([&] { return result != 0; }));
  EXPECT_EQ(result, 2);
  // One that comes late runs at once.
  std::atomic<bool> late{false};
  auto me = std::this_thread::get_id();
  pool->then(*call, std::make_unique<on_ready>([&] {
    EXPECT_NE(std::this_thread::get_id(), me);
    late = true;
  }));
  EXPECT_TRUE(eventually([&] { return late.load(); }));
}

TEST_F(engine_test, a_pool_that_its_callback_destroyed_ends_whoever_sees_its_workers_go) {
  make(1, 1);
  detail::inbox nothing_comes;
  std::thread driver([&] { EXPECT_FALSE(wait(nothing_comes, 500ms)); });
  ASSERT_TRUE(eventually([&] { return fake->waiting(); }));
  auto call = submit(1, 1);
  ASSERT_TRUE(eventually([&] { return fake->held(0) != 0; }));
  std::atomic<bool> destroyed{false};
  pool->then(*call, std::make_unique<on_ready>([&] {
    pool->shut_down(false);
    destroyed = true;
  }));
  fake->finish(0);
  ASSERT_TRUE(eventually([&] { return destroyed.load(); }));
  fake->die(0, 0, false, 0);
  EXPECT_TRUE(eventually([&] { return pool.use_count() == 1; })) << "its thread still waits";
  driver.join();
  pool.reset();
}

TEST_F(engine_test, finished_calls_gather_in_a_box) {
  make(1, 1);
  detail::inbox box;
  std::vector<std::shared_ptr<recorder>> calls;
  for (int i = 0; i < 2; ++i) {
    auto call = std::make_shared<recorder>();
    call->gather_in = &box;
    submit(call, 1, 1);
    calls.push_back(call);
  }
  EXPECT_FALSE(wait(box, 1ms));
  fake->finish(0);
  EXPECT_TRUE(wait(box));
  std::vector<std::shared_ptr<detail::batch>> got;
  pool->collect(box, got);
  ASSERT_EQ(got.size(), 1u);
  EXPECT_EQ(got[0], calls[0]);
  EXPECT_FALSE(box.ready());
  fake->finish(0);
  EXPECT_TRUE(wait(box));
  pool->collect(box, got);
  ASSERT_EQ(got.size(), 2u);
  EXPECT_EQ(got[1], calls[1]);
}

TEST(engine_elsewhere, in_another_process_everything_throws_wrong_process) {
  bool here = true;
  auto made = std::make_unique<fake_backend>(1);
  engine_options options;
  options.own_process = [&] { return here; };
  auto pool = std::make_shared<engine>(std::move(made), std::move(options));
  pool->start();
  here = false;
  auto call = std::make_shared<recorder>();
  items input(1);
  EXPECT_THROW(pool->submit(call, entry, input, {}), wrong_process);
  EXPECT_THROW(pool->run(call, entry, input, {}), wrong_process);
  EXPECT_THROW(pool->wait(*call, clock::now()), wrong_process);
  EXPECT_THROW(pool->cancel(*call), wrong_process);
  EXPECT_THROW(pool->close(), wrong_process);
  EXPECT_THROW(pool->join(clock::now()), wrong_process);
  EXPECT_NO_THROW(pool->abandon(*call));
  EXPECT_THROW(pool->terminate(), wrong_process);
  here = true;
  pool->shut_down(true);
}

}  // namespace
}  // namespace procpool::core
