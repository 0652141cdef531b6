// SPDX-License-Identifier: MIT
// The scheduler alone, with a clock that the tests move by hand.
#include "core/scheduler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <optional>
#include <vector>

namespace procpool::core {
namespace {

using namespace std::chrono_literals;
using std::chrono::nanoseconds;

constexpr clock::time_point epoch{};
constexpr task_id none = scheduler::none;

class scheduler_test : public ::testing::Test {
 protected:
  static constexpr std::uint32_t room = 64;
  static constexpr std::uint32_t cpus = 8;

  void make(std::uint32_t workers, std::uint32_t slots = room, std::uint32_t quota = 0) {
    s.emplace(workers, slots, quota, cpus);
    profile = s->add_profile();
    for (worker_id w = 0; w < workers; ++w) s->up(w, now);
  }
  std::vector<task_id> add(call_id call, int many, std::uint32_t count = 1) {
    std::vector<task_id> all;
    for (int i = 0; i < many; ++i)
      all.push_back(s->add(call, static_cast<std::size_t>(i) * count, count));
    return all;
  }
  std::optional<scheduler::send> send() {
    auto d = s->next(now);
    if (!d) return std::nullopt;
    auto* sent = std::get_if<scheduler::send>(&*d);
    EXPECT_NE(sent, nullptr) << "a take where a send was expected";
    return sent != nullptr ? std::optional(*sent) : std::nullopt;
  }
  std::optional<scheduler::take> take() {
    auto d = s->next(now);
    if (!d) return std::nullopt;
    auto* t = std::get_if<scheduler::take>(&*d);
    EXPECT_NE(t, nullptr) << "a send where a take was expected";
    return t != nullptr ? std::optional(*t) : std::nullopt;
  }
  /// All that is sent now, as (worker, task).
  std::vector<std::pair<worker_id, task_id>> send_all() {
    std::vector<std::pair<worker_id, task_id>> all;
    while (auto d = send()) all.emplace_back(d->worker, d->task);
    return all;
  }
  std::vector<task_id> tasks_sent() {
    std::vector<task_id> all;
    for (auto [worker, task] : send_all()) all.push_back(task);
    return all;
  }
  /// The worker's reply came, whole, was looked at and its slot given back.
  void finish(task_id t, nanoseconds took = {}) {
    worker_id w = (*s)[t].worker;
    s->answered(t, (*s)[t].count, took, now);
    s->erase(t);
    s->released(w);
  }
  /// Makes the cost of the profile's items known.
  void learn(nanoseconds cost) {
    call_id c = s->open(profile);
    task_id t = s->add(c, 0, 1);
    ASSERT_TRUE(send());
    finish(t, cost);
    s->close(c);
  }

  std::optional<scheduler> s;
  profile_id profile = 0;
  clock::time_point now = epoch + 1s;
};

// ---- order --------------------------------------------------------------------------------------

TEST_F(scheduler_test, tasks_of_a_call_go_out_in_order) {
  make(1);
  call_id c = s->open(profile);
  auto t = add(c, 5);
  std::vector<task_id> order = tasks_sent();
  while (!s->idle()) {
    finish(order[5 - s->live(c)]);
    for (task_id id : tasks_sent()) order.push_back(id);
  }
  EXPECT_EQ(order, t);
}

TEST_F(scheduler_test, a_large_call_does_not_starve_a_small_one_behind_it) {
  make(1);
  call_id large = s->open(profile);
  call_id small = s->open(profile);
  auto many = add(large, 100);
  auto one = add(small, 1);
  EXPECT_EQ(tasks_sent(), (std::vector{many[0], one[0]}));
}

TEST_F(scheduler_test, calls_take_turns_task_by_task) {
  make(1, 6);
  learn(1ns);  // so that the ring is filled
  call_id a = s->open(profile);
  call_id b = s->open(profile);
  call_id c = s->open(profile);
  auto ta = add(a, 3);
  auto tb = add(b, 1);
  auto tc = add(c, 2);
  EXPECT_EQ(tasks_sent(), (std::vector{ta[0], tb[0], tc[0], ta[1], tc[1], ta[2]}));
}

TEST_F(scheduler_test, who_was_idle_last_works_first_and_everybody_before_anybody_twice) {
  make(3);
  call_id c = s->open(profile);
  auto t = add(c, 6);
  auto sent = send_all();
  ASSERT_EQ(sent.size(), 6u);
  std::vector<worker_id> first = {sent[0].first, sent[1].first, sent[2].first};
  EXPECT_EQ(first, (std::vector<worker_id>{2, 1, 0}));
  std::map<worker_id, int> each;
  for (auto [worker, task] : sent) ++each[worker];
  EXPECT_EQ(each, (std::map<worker_id, int>{{0, 2}, {1, 2}, {2, 2}}));

  // 0, then 2, then 1 run empty: 1 is the warmest.
  for (worker_id w : {0u, 2u, 1u})
    for (auto [worker, task] : sent)
      if (worker == w) finish(task);
  s->add(c, 6, 1);
  EXPECT_EQ(send()->worker, 1u);
}

TEST_F(scheduler_test, who_holds_least_gets_the_next) {
  make(3);
  learn(30us);  // not so little that one alone does it all
  call_id c = s->open(profile);
  add(c, 9);
  const auto sent = send_all();
  for (auto [worker, task] : sent)
    if (worker == 1) finish(task);
  add(c, 3);
  for (auto [worker, task] : send_all()) EXPECT_EQ(worker, 1u);
}

TEST_F(scheduler_test, nobody_is_woken_for_what_one_that_is_awake_will_have_done_sooner) {
  make(2);
  learn(1us);
  call_id c = s->open(profile);
  add(c, 30);
  std::vector<worker_id> each;
  for (auto [worker, task] : send_all()) each.push_back(worker);
  ASSERT_EQ(each.size(), 30u);
  const auto first = static_cast<long>(scheduler::wake_up / 1us);
  EXPECT_EQ(std::count(each.begin(), each.begin() + first, each.front()), first);
  EXPECT_NE(each[static_cast<std::size_t>(first)], each.front());
}

TEST_F(scheduler_test, an_idle_worker_is_woken_for_what_may_take_long) {
  make(2);
  add(s->open(profile), 2);  // nothing is known of these
  auto sent = send_all();
  ASSERT_EQ(sent.size(), 2u);
  EXPECT_NE(sent[0].first, sent[1].first);
}

// ---- how much is sent ahead ---------------------------------------------------------------------

TEST_F(scheduler_test, two_tasks_a_worker_while_their_cost_is_unknown) {
  make(2);
  add(s->open(profile), 100);
  EXPECT_EQ(send_all().size(), 4u);
}

TEST_F(scheduler_test, what_is_sent_ahead_is_about_200_microseconds_of_work) {
  make(1);
  learn(10us);
  EXPECT_EQ(s->cost(profile), 10us);
  call_id c = s->open(profile);
  add(c, 100);
  EXPECT_EQ(send_all().size(), 20u);
}

TEST_F(scheduler_test, a_task_of_many_items_counts_for_all_of_them) {
  make(1);
  learn(10us);
  add(s->open(profile), 100, 4);
  EXPECT_EQ(send_all().size(), 5u);
}

TEST_F(scheduler_test, tiny_tasks_fill_the_ring_and_long_ones_are_two) {
  make(1);
  learn(10ns);
  add(s->open(profile), 100);
  EXPECT_EQ(send_all().size(), room);

  make(1);
  learn(1s);
  add(s->open(profile), 100);
  EXPECT_EQ(send_all().size(), 2u);
}

TEST_F(scheduler_test, the_known_cost_follows_what_is_measured_and_each_profile_has_its_own) {
  make(1);
  profile_id other = s->add_profile();
  learn(8us);
  EXPECT_EQ(s->cost(profile), 8us);
  learn(16us);
  EXPECT_GT(s->cost(profile), 8us);
  EXPECT_LT(s->cost(profile), 16us);
  for (int i = 0; i < 100; ++i) learn(16us);
  EXPECT_NEAR(static_cast<double>(s->cost(profile).count()), 16000, 100);
  EXPECT_EQ(s->cost(other), 0ns);
}

TEST_F(scheduler_test, one_that_seemed_to_take_for_ever_is_not_believed_at_once) {
  make(1);
  learn(1us);
  learn(10ms);
  EXPECT_LT(s->cost(profile), 3us);
}

TEST_F(scheduler_test, a_task_of_which_nothing_ran_teaches_nothing) {
  make(1);
  call_id c = s->open(profile);
  task_id t = s->add(c, 0, 1);
  ASSERT_TRUE(send());
  s->answered(t, 0, 5s, now);
  s->erase(t);
  EXPECT_EQ(s->cost(profile), 0ns);
}

// ---- room and quota -----------------------------------------------------------------------------

TEST_F(scheduler_test, a_slot_is_taken_until_its_reply_has_been_looked_at) {
  make(1, 2);
  call_id c = s->open(profile);
  auto t = add(c, 4);
  EXPECT_EQ(send_all().size(), 2u);
  s->answered(t[0], 1, {}, now);
  s->erase(t[0]);
  EXPECT_FALSE(send()) << "the reply's slot is still being read";
  s->released(0);
  ASSERT_TRUE(send());
  EXPECT_FALSE(send());
}

TEST_F(scheduler_test, an_idle_worker_whose_slots_were_all_unread_still_gets_work_taken_back) {
  make(2, 2);
  s->down(1);
  call_id c = s->open(profile);
  auto t = add(c, 2);
  EXPECT_EQ(send_all().size(), 2u);
  for (task_id id : t) {
    s->answered(id, 1, {}, now);
    s->erase(id);
  }
  EXPECT_FALSE(s->next(now));  // idle, but every slot of it holds a reply that is being read
  s->up(1, now);
  auto more = add(c, 2);
  for (auto [worker, task] : send_all()) EXPECT_EQ(worker, 1u);
  s->released(0);
  s->released(0);
  now += 1ms;
  auto d = take();
  ASSERT_TRUE(d) << "worker 0 is idle, and worker 1 has a task that it has not begun";
  EXPECT_EQ(d->worker, 1u);
  EXPECT_EQ(d->task, more[1]);
}

TEST_F(scheduler_test, a_worker_near_its_quota_gets_no_more_until_it_is_replaced) {
  make(1, room, 5);
  learn(1us);
  s->up(0, now);  // a fresh one
  call_id c = s->open(profile);
  auto t = add(c, 4, 3);
  EXPECT_EQ(tasks_sent(), (std::vector{t[0], t[1]})) << "the second one will be cut by the worker";
  // It does five of the six and leaves.
  s->answered(t[0], 3, {}, now);
  s->erase(t[0]);
  s->leaving(0);
  task_id rest;
  s->answered(t[1], 2, {}, now);
  rest = s->split(t[1], 2);
  s->erase(t[1]);
  EXPECT_FALSE(send());
  s->down(0);
  EXPECT_FALSE(send());
  s->up(0, now);
  EXPECT_EQ(tasks_sent(), (std::vector{rest, t[2], t[3]}));
  EXPECT_EQ((*s)[rest].first, 5u);
  EXPECT_EQ((*s)[rest].count, 1u);
}

TEST_F(scheduler_test, what_is_taken_back_does_not_count_against_the_quota) {
  make(2, room, 4);
  s->down(1);
  call_id c = s->open(profile);
  auto t = add(c, 2, 2);
  EXPECT_EQ(send_all().size(), 2u);
  s->up(1, now);
  now += 1ms;
  auto d = take();
  ASSERT_TRUE(d);
  EXPECT_EQ(d->task, t[1]);
  task_id rest = s->taken_back(t[1], 0);
  EXPECT_EQ(send()->task, rest);
  s->down(1);  // dies; not what this is about
  s->answered(t[1], 0, {}, now);
  s->erase(t[1]);
  s->released(0);
  s->add(c, 4, 2);
  EXPECT_EQ(send()->worker, 0u) << "two of four items were taken back";
}

TEST_F(scheduler_test, one_that_leaves_gets_nothing_more) {
  make(2);
  s->leaving(1);
  add(s->open(profile), 10);
  for (auto [worker, task] : send_all()) EXPECT_EQ(worker, 0u);
}

// ---- taking back --------------------------------------------------------------------------------

TEST_F(scheduler_test, an_idle_worker_gets_the_newest_task_of_a_busy_one_after_a_while) {
  make(2);
  s->down(1);
  call_id c = s->open(profile);
  auto t = add(c, 2);
  EXPECT_EQ(send_all().size(), 2u);
  clock::time_point busy_since = now;
  s->up(1, now);

  now += scheduler::patience / 2;
  EXPECT_FALSE(s->next(now));
  EXPECT_EQ(s->deadline(), busy_since + scheduler::patience);
  now = s->deadline();
  auto d = take();
  ASSERT_TRUE(d);
  EXPECT_EQ(d->worker, 0u);
  EXPECT_EQ(d->task, t[1]);
  EXPECT_FALSE(d->may_have_started);
  task_id rest = s->taken_back(t[1], 0);
  ASSERT_NE(rest, none);
  EXPECT_EQ((*s)[rest].first, 1u);
  EXPECT_EQ((*s)[rest].count, 1u);
  EXPECT_EQ((*s)[t[1]].count, 0u);
  auto given = send();
  ASSERT_TRUE(given);
  EXPECT_EQ(given->worker, 1u);
  EXPECT_EQ(given->task, rest);
}

TEST_F(scheduler_test, who_shares_a_cpu_is_given_more_time) {
  make(2 * cpus);
  for (worker_id w = 1; w < 2 * cpus; ++w) s->leaving(w);
  add(s->open(profile), 2);
  EXPECT_EQ(send_all().size(), 2u);
  clock::time_point busy_since = now;
  s->up(1, now);
  EXPECT_FALSE(s->next(now));
  EXPECT_EQ(s->deadline(), busy_since + 2 * scheduler::patience);
}

TEST_F(scheduler_test, of_the_task_that_is_running_half_is_asked_for) {
  make(2);
  s->down(1);
  call_id c = s->open(profile);
  auto t = add(c, 1, 100);
  ASSERT_TRUE(send());
  s->up(1, now);
  now += 1ms;
  auto d = take();
  ASSERT_TRUE(d);
  EXPECT_EQ(d->task, t[0]);
  EXPECT_TRUE(d->may_have_started);
  // The caller saw 20 claimed, and took half of the others.
  task_id rest = s->taken_back(t[0], 60);
  EXPECT_EQ((*s)[t[0]].count, 60u);
  EXPECT_EQ((*s)[rest].first, 60u);
  EXPECT_EQ((*s)[rest].count, 40u);
  EXPECT_EQ(send()->task, rest);
  finish(rest);
  // More may be had from it.
  now += 1ms;
  d = take();
  ASSERT_TRUE(d);
  EXPECT_EQ(d->task, t[0]);
}

TEST_F(scheduler_test, whoever_had_nothing_to_give_is_not_asked_again) {
  make(2);
  s->down(1);
  call_id c = s->open(profile);
  auto t = add(c, 2, 3);
  EXPECT_EQ(send_all().size(), 2u);
  s->up(1, now);
  now += 1ms;
  ASSERT_EQ(take()->task, t[1]);
  EXPECT_EQ(s->taken_back(t[1], 3), none);
  ASSERT_EQ(take()->task, t[0]) << "the older one may have something";
  EXPECT_EQ(s->taken_back(t[0], 3), none);
  EXPECT_FALSE(take());
  EXPECT_EQ(s->deadline(), clock::time_point::max()) << "no reason to wake up for";
}

TEST_F(scheduler_test, work_known_to_be_long_is_taken_back_at_once) {
  make(2);
  learn(1ms);
  s->down(1);
  call_id c = s->open(profile);
  auto t = add(c, 2);
  EXPECT_EQ(send_all().size(), 2u);
  s->up(1, now);
  auto d = take();
  ASSERT_TRUE(d);
  EXPECT_EQ(d->task, t[1]);
}

TEST_F(scheduler_test, who_has_most_to_give_gives) {
  make(3);
  learn(20us);
  s->down(2);
  call_id c = s->open(profile);
  s->down(1);
  add(c, 2, 3);  // two tasks to 0
  EXPECT_EQ(send_all().size(), 2u);
  s->up(1, now);
  add(c, 3, 3);  // one for 1, and then they alternate
  auto sent = send_all();
  ASSERT_EQ(sent.size(), 3u);
  std::map<worker_id, int> has{{0, 2}};
  for (auto [worker, task] : sent) ++has[worker];
  ASSERT_NE(has[0], has[1]);
  s->up(2, now);
  now += 1ms;
  EXPECT_EQ(take()->worker, has[0] > has[1] ? 0u : 1u);
}

TEST_F(scheduler_test, nothing_is_taken_back_while_there_is_work_in_the_queue_or_nobody_is_idle) {
  make(2);
  call_id c = s->open(profile);
  add(c, 4);
  EXPECT_EQ(send_all().size(), 4u);
  now += 1s;
  EXPECT_FALSE(s->next(now)) << "both are busy";
  EXPECT_EQ(s->deadline(), clock::time_point::max());
}

// ---- cutting, putting back, dropping ------------------------------------------------------------

TEST_F(scheduler_test, what_is_put_back_goes_before_what_was_never_sent) {
  make(1);
  call_id a = s->open(profile);
  call_id b = s->open(profile);
  auto ta = add(a, 3);
  EXPECT_EQ(tasks_sent(), (std::vector{ta[0], ta[1]}));
  auto tb = add(b, 2);
  // The worker dies; newest first, so that the order is kept.
  for (task_id id : {ta[1], ta[0]}) {
    s->answered(id, 0, {}, now);
    s->requeue(id);
  }
  s->down(0);
  EXPECT_FALSE(send()) << "nobody is there";
  EXPECT_EQ(s->queued(), 5u);
  s->up(0, now);
  std::vector<task_id> order;
  while (!s->idle())
    for (task_id id : tasks_sent()) {
      order.push_back(id);
      finish(id);
    }
  auto place = [&](task_id id) { return std::find(order.begin(), order.end(), id); };
  EXPECT_EQ(order.size(), 5u);
  EXPECT_LT(place(ta[0]), place(ta[1]));
  EXPECT_LT(place(ta[1]), place(ta[2]));
  EXPECT_LT(place(tb[0]), place(tb[1]));
}

TEST_F(scheduler_test, a_call_that_waits_for_nothing_else_has_its_turn_first_when_put_back) {
  make(2);
  s->down(1);
  call_id a = s->open(profile);
  call_id b = s->open(profile);
  auto ta = add(a, 2);
  EXPECT_EQ(send_all().size(), 2u);
  auto tb = add(b, 5);
  s->answered(ta[1], 0, {}, now);
  s->requeue(ta[1]);
  s->answered(ta[0], 0, {}, now);
  s->requeue(ta[0]);
  s->down(0);
  s->up(1, now);
  EXPECT_EQ(send()->task, ta[0]);
  EXPECT_EQ(send()->task, tb[0]);
}

TEST_F(scheduler_test, the_rest_of_a_cut_task_is_next) {
  make(2);
  call_id c = s->open(profile);
  s->down(1);
  auto t = add(c, 3, 10);
  EXPECT_EQ(tasks_sent(), (std::vector{t[0], t[1]}));
  s->answered(t[0], 4, {}, now);
  task_id rest = s->split(t[0], 4);
  EXPECT_EQ((*s)[t[0]].count, 4u);
  EXPECT_EQ((*s)[rest].first, 4u);
  EXPECT_EQ((*s)[rest].count, 6u);
  EXPECT_EQ((*s)[rest].call, c);
  s->erase(t[0]);
  s->up(1, now);
  EXPECT_EQ(send()->task, rest);
  EXPECT_EQ(send()->task, t[2]);
}

TEST_F(scheduler_test, queued_tasks_can_be_dropped_anywhere_in_the_queue) {
  for (int drop : {0, 1, 2, 3, 4}) {
    make(1, room);
    call_id c = s->open(profile);
    auto t = add(c, 5);
    s->erase(t[static_cast<std::size_t>(drop)]);
    EXPECT_EQ(s->queued(), 4u);
    EXPECT_EQ(s->live(c), 4u);
    task_id last = s->add(c, 5, 1);  // the tail is where it should be
    auto expected = t;
    expected.erase(expected.begin() + drop);
    expected.push_back(last);
    std::vector<task_id> order;
    while (!s->idle()) {
      auto d = send();
      ASSERT_TRUE(d);
      order.push_back(d->task);
      finish(d->task);
    }
    EXPECT_EQ(order, expected) << "without task " << drop;
  }
}

TEST_F(scheduler_test, a_call_dropped_whole_leaves_its_turn_to_the_next) {
  make(1);
  call_id a = s->open(profile);
  call_id b = s->open(profile);
  add(a, 100);
  auto tb = add(b, 1);
  s->each_task_of(a, [this](task_id id) { s->erase(id); });
  EXPECT_EQ(s->live(a), 0u);
  s->close(a);
  EXPECT_EQ(s->queued(), 1u);
  EXPECT_EQ(tasks_sent(), (std::vector{tb[0]}));
}

TEST_F(scheduler_test, the_number_of_a_closed_call_is_free_only_once_no_turn_is_left_of_it) {
  make(1);
  call_id a = s->open(profile);
  add(a, 3);
  s->each_task_of(a, [this](task_id id) { s->erase(id); });
  s->close(a);
  call_id b = s->open(profile);
  EXPECT_NE(b, a) << "it still stands in the order of turns";
  auto tb = add(b, 1);
  EXPECT_EQ(tasks_sent(), tb);
  finish(tb[0]);
  s->close(b);
  std::vector<call_id> again = {s->open(profile), s->open(profile)};
  std::sort(again.begin(), again.end());
  EXPECT_EQ(again, (std::vector{std::min(a, b), std::max(a, b)}));
  for (call_id c : again) {
    EXPECT_EQ(s->live(c), 0u);
    auto t = add(c, 1);
    EXPECT_EQ(tasks_sent(), t);
    finish(t[0]);
  }
}

TEST_F(scheduler_test, it_knows_what_is_alive) {
  make(1);
  EXPECT_TRUE(s->idle());
  call_id c = s->open(profile);
  EXPECT_TRUE(s->idle());
  auto t = add(c, 3);
  EXPECT_FALSE(s->idle());
  EXPECT_EQ(s->live(c), 3u);
  EXPECT_EQ(s->queued(), 3u);
  ASSERT_TRUE(send());
  EXPECT_EQ(s->live(c), 3u);
  EXPECT_EQ(s->queued(), 2u);
  std::vector<task_id> all;
  s->each_task_of(c, [&](task_id id) { all.push_back(id); });
  std::sort(all.begin(), all.end());
  EXPECT_EQ(all, t);
  finish(t[0]);
  EXPECT_EQ(s->live(c), 2u);
  s->each_task_of(c, [this](task_id id) { s->erase(id); });
  EXPECT_TRUE(s->idle());
  EXPECT_EQ(s->live(c), 0u);
}

}  // namespace
}  // namespace procpool::core
