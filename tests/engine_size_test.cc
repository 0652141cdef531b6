// SPDX-License-Identifier: MIT
// How many workers there shall be, and who leaves, over workers made by hand.
#include "engine_fixture.h"

namespace procpool::core {
namespace {

class engine_size : public engine_test {
 protected:
  /// The items of what worker w holds, as first item and count.
  std::vector<std::pair<std::uint32_t, std::uint32_t>> tasks_of(worker_id w) {
    std::vector<std::pair<std::uint32_t, std::uint32_t>> all;
    for (const auto& s : fake->ring(w))
      if (s.kept != 0) all.emplace_back(s.first, s.kept);
    return all;
  }
};

TEST_F(engine_size, growing_makes_places_and_asks_for_workers) {
  make(1, 1);
  pool->resize(3);
  EXPECT_EQ(fake->workers(), 3u);
  EXPECT_EQ(fake->wanted(), 3u);
  fake->up(1);
  fake->up(2);
  auto call = submit(3, 1);
  ASSERT_TRUE(eventually([&] { return fake->held(1) != 0 && fake->held(2) != 0; }));
  work_off(*call, {0, 1, 2});
}

TEST_F(engine_size, shrinking_lets_the_longest_idle_leave) {
  make(3, 0);
  auto call = submit(1, 1);
  fake->up(2);
  ASSERT_TRUE(eventually([&] { return fake->held(2) == 1; }));
  ASSERT_EQ(fake->claim(2, 1), 1u);
  fake->up(0);
  settle();
  fake->up(1);
  settle();
  pool->resize(2);
  EXPECT_EQ(fake->wanted(), 2u);
  EXPECT_EQ(fake->told_to_leave(), std::vector<worker_id>{0});
  pool->resize(1);
  EXPECT_EQ(fake->told_to_leave(), (std::vector<worker_id>{0, 1}));
  work_off(*call, {2});
  EXPECT_EQ(call->all(), lines{"done by 1002"});
}

// A task that was taken from a worker before that had woken up stands in its ring all the same.
TEST_F(engine_size, who_only_has_what_was_taken_back_is_idle) {
  make(2, 0);
  auto call = submit(1, 1);
  fake->up(0);
  ASSERT_TRUE(eventually([&] { return fake->held(0) == 1; }));
  fake->up(1);
  ASSERT_TRUE(eventually([&] { return fake->held(1) == 1; })) << "it has taken it";
  ASSERT_EQ(fake->claim(1, 1), 1u);
  EXPECT_EQ(pool->workers().at(0).state, worker_state::idle);
  EXPECT_EQ(pool->workers().at(1).state, worker_state::busy);
  pool->resize(1);
  EXPECT_EQ(fake->told_to_leave(), std::vector<worker_id>{0});
  work_off(*call, {1});
}

TEST_F(engine_size, who_leaves_gets_no_more_tasks) {
  make(2, 2);
  pool->resize(1);
  ASSERT_EQ(fake->told_to_leave(), std::vector<worker_id>{0});
  auto call = submit(20, 1);
  work_off(*call, {1});
  EXPECT_EQ(call->count(by_1), 20u);
}

TEST_F(engine_size, what_a_leaving_worker_has_not_begun_goes_on_elsewhere_in_order) {
  make(2, 0);
  auto call = submit(8, 2);
  fake->up(0);
  ASSERT_TRUE(eventually([&] { return fake->held(0) == 2; }));
  ASSERT_EQ(fake->claim(0, 1), 1u);
  pool->resize(1);  // 0 is the only one that is up: it stays
  EXPECT_TRUE(fake->told_to_leave().empty());
  fake->up(1);  // one too many now: the idle one leaves
  settle();
  EXPECT_EQ(fake->told_to_leave(), std::vector<worker_id>{1});
  pool->resize(2);
  fake->die(1, 0, false, 0);
  work_off(*call, {0});
  EXPECT_EQ(call->count(by_0), 8u);
}

TEST_F(engine_size, a_busy_worker_keeps_only_what_it_has_claimed) {
  make(2, 0);
  auto call = submit(8, 4);
  fake->up(1);
  ASSERT_TRUE(eventually([&] { return fake->held(1) == 2; }));
  ASSERT_EQ(fake->claim(1, 1), 1u);
  fake->up(0);
  settle();
  ASSERT_TRUE(eventually([&] { return fake->held(0) != 0; }));
  ASSERT_EQ(fake->claim(0, 1), 1u);
  pool->resize(1);
  ASSERT_EQ(fake->told_to_leave(), std::vector<worker_id>{1}) << "the last of the busy";
  EXPECT_EQ(tasks_of(1), (std::vector<std::pair<std::uint32_t, std::uint32_t>>{{0, 1}}));
  while (fake->held(1) != 0) fake->finish(1);
  work_off(*call, {0});
  EXPECT_EQ(call->count(by_1), 1u);
  EXPECT_EQ(call->count(by_0), 7u);
}

TEST_F(engine_size, one_too_many_that_comes_up_later_leaves_at_once) {
  make(3, 1);
  pool->resize(1);
  fake->up(1);
  settle();
  EXPECT_EQ(fake->told_to_leave().size(), 1u);
}

TEST_F(engine_size, idle_workers_leave_at_their_time_and_then_nothing_is_due) {
  asked.idle_timeout = 30ms;
  asked.min_processes = 1;
  make(2, 2);
  ASSERT_TRUE(eventually([&] { return fake->told_to_leave().size() == 1; }));
  EXPECT_EQ(fake->wanted(), 1u);
  settle();
  EXPECT_TRUE(eventually([&] { return fake->background_deadline() == clock::time_point::max(); }))
      << "a pool at its least has no timer";
}

TEST_F(engine_size, work_brings_as_many_back_as_it_needs) {
  asked.idle_timeout = 1ms;
  make(4, 4);
  ASSERT_TRUE(eventually([&] { return fake->told_to_leave().size() == 4; }));
  ASSERT_EQ(fake->wanted(), 0u);
  for (worker_id w = 0; w < 4; ++w) fake->die(w, 0, false, 0);
  settle();
  auto one = submit(1, 1);
  EXPECT_EQ(fake->wanted(), 1u);
  auto two = submit(2, 1);
  EXPECT_EQ(fake->wanted(), 3u);
  auto many = submit(100, 10);
  EXPECT_EQ(fake->wanted(), 4u);
  fake->up(0);
  work_off(*one, {0});
  work_off(*two, {0});
  work_off(*many, {0});
}

TEST_F(engine_size, the_old_leave_one_after_the_other) {
  asked.max_worker_age = 10ms;
  make(2, 2);
  ASSERT_TRUE(eventually([&] { return fake->told_to_leave().size() == 1; }));
  const worker_id first = fake->told_to_leave().front();
  settle();
  EXPECT_EQ(fake->told_to_leave().size(), 1u) << "the other one waits for the replacement";
  fake->die(first, 0, false, 0);
  settle();
  EXPECT_EQ(fake->told_to_leave().size(), 1u);
  fake->up(first);
  ASSERT_TRUE(eventually([&] { return fake->told_to_leave().size() == 2; }));
  EXPECT_NE(fake->told_to_leave().back(), first);
}

TEST_F(engine_size, the_old_that_are_busy_leave_one_after_the_other_too) {
  asked.max_worker_age = 1s;
  make(2, 2);
  const auto start = clock::now();
  ASSERT_TRUE(eventually([&] { return clock::now() - start > 300ms; }));
  auto call = submit(20, 1);
  for (worker_id w : {0u, 1u}) {
    ASSERT_TRUE(eventually([&] {
      if (fake->held(w) == 0) return false;
      if (fake->claim(w, 1) == 1) return true;
      fake->finish(w);  // the other one, idle then, has taken it
      return false;
    }));
  }
  ASSERT_TRUE(eventually([&] { return !fake->told_to_leave().empty(); }));
  settle();
  EXPECT_EQ(fake->told_to_leave().size(), 1u) << "its replacement is not there yet";
  // But an item that does not come to an end keeps nobody.
  EXPECT_TRUE(eventually([&] { return fake->told_to_leave().size() == 2; }));
  pool->cancel(*call);
  work_off(*call, {0, 1});
}

}  // namespace
}  // namespace procpool::core
