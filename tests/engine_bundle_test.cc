// SPDX-License-Identifier: MIT
// Calls that are sent together: that they are, and that none of them notices.
#include "core/bundle.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <vector>

#include "engine_fixture.h"

namespace procpool::core {
namespace {

class engine_bundle : public engine_test {
 protected:
  using calls = std::vector<std::shared_ptr<recorder>>;

  std::shared_ptr<recorder> call(const detail::call_options& more = {}) {
    auto made = std::make_shared<recorder>();
    items input(1);
    input.next = static_cast<std::uint32_t>(all_.size());
    all_.push_back(made);
    detail::call_options options = more;
    options.chunksize = 1;
    options.one_chunk = true;
    pool->submit(made, entry, input, options);
    return made;
  }

  /// Makes calls until worker 0 has some that were sent together at hand; those.
  calls together(const detail::call_options& options = {}) {
    fake->set_nanoseconds(1000);
    const bool some = eventually([&] {
      for (int i = 0; i < 100; ++i) call(options);
      for (int i = 0; i < 100; ++i) {
        settle();
        if (fake->held(0) == 0 || fake->ring(0).front().count > 3) break;
        fake->finish(0);
      }
      return fake->held(0) != 0 && fake->ring(0).front().count > 3;
    });
    EXPECT_TRUE(some) << "nothing is ever sent together";
    return some ? at_hand(0) : calls();
  }
  /// The calls of the task that a worker has at hand.
  calls at_hand(worker_id w) const {
    calls found;
    for (const std::uint32_t id : ids_at_hand(w)) found.push_back(all_[id]);
    return found;
  }
  std::vector<std::uint32_t> ids_at_hand(worker_id w) const {
    const fake_backend::sent s = fake->ring(w).front();
    std::vector<std::uint32_t> ids(s.kept);
    std::memcpy(ids.data(), s.parcel.data() + s.first * sizeof(std::uint32_t),
                ids.size() * sizeof(std::uint32_t));
    return ids;
  }
  /// Each call has one outcome, whichever.
  void finish_all(std::initializer_list<worker_id> workers) {
    for (const auto& c : all_) work_off(*c, workers);
    for (const auto& c : all_) {
      ASSERT_EQ(c->all().size(), 1u);
      EXPECT_EQ(c->all()[0].find("AND"), std::string::npos) << c->all()[0];
      EXPECT_NE(c->all()[0], "");
    }
    EXPECT_TRUE(eventually([this] { return fake->quiet() && fake->unreleased() == 0; }));
    const pool_stats s = pool->stats();
    EXPECT_EQ(s.submitted, all_.size());
    EXPECT_EQ(s.done + s.failed, all_.size());
    EXPECT_EQ(s.queued + s.running, 0u);
  }
  static bool ready(const calls& some, std::size_t from, std::size_t to) {
    for (std::size_t i = from; i < to; ++i)
      if (!some[i]->ready()) return false;
    return true;
  }

 private:
  calls all_;
};

TEST_F(engine_bundle, holds_no_more_work_than_one_worker_should_be_given_at_once) {
  make(1, 1);
  struct {
    std::uint64_t item;  // nanoseconds
    std::uint32_t most;
  } constexpr kinds[] = {{4000, 20}, {100, 32}};
  for (const auto& kind : kinds) {
    std::uint32_t largest = 0;
    EXPECT_TRUE(eventually([&] {
      for (int i = 0; i < 100; ++i) call();
      settle();
      for (; fake->held(0) != 0; settle()) {
        const std::uint32_t count = fake->ring(0).front().count;
        largest = std::max(largest, count);
        fake->set_nanoseconds(count * kind.item);
        fake->finish(0);
      }
      return largest >= kind.most;
    }));
    EXPECT_EQ(largest, kind.most);
  }
  finish_all({0});
}

TEST_F(engine_bundle, is_answered_call_by_call) {
  make(1, 1);
  const calls some = together();
  EXPECT_TRUE(fake->ring(0).front().each);
  fake->finish(0);
  ASSERT_TRUE(eventually([&] { return ready(some, 0, some.size()); }));
  for (const auto& c : some) EXPECT_EQ(c->all(), lines{by_0});
  finish_all({0});
}

TEST_F(engine_bundle, each_is_told_while_the_next_one_runs) {
  make(1, 1);
  const calls some = together();
  fake->run(0, 2);
  fake->progress(0, 2);
  ASSERT_TRUE(eventually([&] { return ready(some, 0, 2); }));
  EXPECT_FALSE(some[2]->ready());
  EXPECT_EQ(pool->stats().running + pool->stats().queued + pool->stats().done,
            pool->stats().submitted);
  fake->progress(0, 3);
  ASSERT_TRUE(eventually([&] { return ready(some, 2, 3); }));
  EXPECT_FALSE(some[3]->ready());
  finish_all({0});
}

TEST_F(engine_bundle, a_death_is_the_running_one_s_alone) {
  make(1, 1);
  const calls some = together({.place = 70});
  fake->run(0, 2);
  fake->progress(0, 1);
  settle();
  fake->die(0, 2);
  fake->up(0);
  ASSERT_TRUE(eventually([&] { return ready(some, 0, 3); }));
  EXPECT_EQ(some[0]->all(), lines{by_0});
  EXPECT_EQ(some[1]->all(), lines{by_0});
  EXPECT_EQ(some[2]->all(), lines{"died at 70 of 9"});
  finish_all({0});
  for (std::size_t i = 3; i < some.size(); ++i) EXPECT_EQ(some[i]->all(), lines{by_0});
}

TEST_F(engine_bundle, what_has_not_begun_runs_elsewhere) {
  make(2, 1);
  const calls some = together();
  fake->run(0, 0);
  fake->up(1);
  ASSERT_TRUE(eventually([&] {
    if (fake->held(1) != 0) fake->finish(1);
    return ready(some, 1, some.size());
  }));
  EXPECT_FALSE(some[0]->ready());
  for (std::size_t i = 1; i < some.size(); ++i) EXPECT_EQ(some[i]->all(), lines{by_1});
  finish_all({0, 1});
}

TEST_F(engine_bundle, shared_by_two_workers_is_counted_once) {
  make(2, 1);
  const calls some = together();
  fake->run(0, 0);
  fake->up(1);
  ASSERT_TRUE(eventually([&] {
    if (fake->ring(0).front().kept == 1) return true;
    if (fake->held(1) != 0) fake->finish(1);
    return false;
  }));
  fake->progress(0, 1);
  ASSERT_TRUE(eventually([&] {
    if (fake->held(1) != 0) fake->finish(1);
    return ready(some, 0, some.size());
  }));
  settle();
  fake->finish(0);  // all of it has been told
  finish_all({0, 1});
}

// They are nobody's while their results are read: what they went in may be another's by then.
TEST_F(engine_bundle, one_whose_result_is_being_read_cannot_be_cancelled_nor_is_another_for_it) {
  make(1, 1);
  const calls some = together();
  slow_reading reading(*some[0]);
  fake->finish(0);
  ASSERT_TRUE(reading.begins());
  calls others;
  for (int i = 0; i < 5; ++i) others.push_back(call());
  EXPECT_FALSE(pool->cancel(*some[1]));
  EXPECT_TRUE(pool->started(*some[1]));
  pool->abandon(*some[2]);
  reading.let_go();
  finish_all({0});
  for (const auto& c : others) EXPECT_EQ(c->all(), lines{by_0});
}

TEST_F(engine_bundle, one_that_has_not_begun_is_cancelled_and_no_other) {
  make(1, 1);
  const calls some = together();
  fake->run(0, 0);
  EXPECT_TRUE(pool->cancel(*some[2]));
  EXPECT_TRUE(some[2]->ready());
  EXPECT_FALSE(pool->cancel(*some[2]));
  EXPECT_EQ(fake->holds(), 0) << "nothing had to be stopped";
  finish_all({0});
  for (std::size_t i = 0; i < some.size(); ++i)
    EXPECT_EQ(some[i]->all(), lines{i == 2 ? "cancelled" : by_0}) << i;
}

TEST_F(engine_bundle, one_that_runs_is_stopped_and_no_other) {
  asked.stop_steps.token_grace = 1h;  // it is not killed
  make(1, 1);
  const calls some = together();
  fake->run(0, 1);
  fake->progress(0, 1);
  ASSERT_TRUE(eventually([&] { return ready(some, 0, 1); }));
  EXPECT_FALSE(pool->cancel(*some[0])) << "it has ended";
  EXPECT_TRUE(pool->started(*some[1]));
  EXPECT_FALSE(pool->started(*some[2]));
  EXPECT_TRUE(pool->cancel(*some[1]));
  ASSERT_TRUE(eventually([&] { return !fake->steps().empty(); }));
  fake->progress(0, 2);  // it ends, but it was stopped
  settle();
  EXPECT_FALSE(some[1]->ready());
  fake->stop_at(0, 2);
  ASSERT_TRUE(eventually([&] { return ready(some, 0, 2); }));
  finish_all({0});
  for (std::size_t i = 0; i < some.size(); ++i)
    EXPECT_EQ(some[i]->all(), lines{i == 1 ? "cancelled" : by_0}) << i;
}

TEST_F(engine_bundle, one_that_a_worker_has_claimed_and_not_begun_is_cancelled) {
  asked.stop_steps.token_grace = 1h;
  make(1, 1);
  const calls some = together();
  fake->claim(0, 1);
  EXPECT_TRUE(pool->cancel(*some[0]));
  fake->stop_at(0, 0);
  ASSERT_TRUE(eventually([&] { return ready(some, 0, 1); }));
  finish_all({0});
  for (std::size_t i = 0; i < some.size(); ++i)
    EXPECT_EQ(some[i]->all(), lines{i == 0 ? "cancelled" : by_0}) << i;
}

TEST_F(engine_bundle, keeps_its_order_when_some_are_cancelled) {
  make(1, 1);
  together();
  calls more;
  for (int i = 0; i < 600; ++i) more.push_back(call());
  // The worker's ring holds no more than 16 tasks: these have not been sent.
  for (std::size_t i = 303; i < more.size(); i += 10) EXPECT_TRUE(pool->cancel(*more[i]));
  std::vector<std::uint32_t> order;
  ASSERT_TRUE(eventually([&] {
    if (fake->held(0) != 0) {
      for (const std::uint32_t id : ids_at_hand(0)) order.push_back(id);
      fake->finish(0);
    }
    return more.back()->ready();
  }));
  EXPECT_TRUE(std::is_sorted(order.begin(), order.end()));
  finish_all({0});
}

TEST_F(engine_bundle, what_nobody_wants_does_not_begin) {
  make(1, 1);
  const calls some = together();
  fake->run(0, 0);
  for (std::size_t i = 0; i < some.size(); i += 2) pool->abandon(*some[i]);
  finish_all({0});
  for (std::size_t i = 0; i < some.size(); ++i)
    EXPECT_EQ(some[i]->all(), lines{i % 2 == 0 && i != 0 ? "cancelled" : by_0}) << i;
}

TEST_F(engine_bundle, ends_with_its_pool) {
  make(1, 1);
  const calls some = together();
  for (int i = 0; i < 100; ++i) call();
  fake->run(0, 1);
  fake->progress(0, 1);
  pool->terminate();
  finish_all({});
  for (std::size_t i = 1; i < some.size(); ++i) EXPECT_EQ(some[i]->all(), lines{"terminated"});
}

TEST_F(engine_bundle, is_sent_before_its_pool_closes) {
  make(1, 1);
  together();
  for (int i = 0; i < 100; ++i) call();
  pool->close();
  finish_all({0});
  EXPECT_TRUE(pool->join(clock::now() + 10s));
}

TEST_F(engine_bundle, has_no_call_with_limits) {
  make(1, 1);
  task_options limits;
  limits.retries = 1;
  fake->set_nanoseconds(1000);
  for (int i = 0; i < 500; ++i) {
    call({.limits = &limits});
    for (const auto& s : fake->ring(0)) EXPECT_EQ(s.count, 1u);
    if (fake->held(0) != 0) fake->finish(0);
  }
  finish_all({0});
}

TEST_F(engine_bundle, has_no_call_that_takes_long) {
  make(1, 1);
  fake->set_nanoseconds(1'000'000);
  for (int i = 0; i < 500; ++i) {
    call();
    for (const auto& s : fake->ring(0)) EXPECT_EQ(s.count, 1u);
    if (fake->held(0) != 0) fake->finish(0);
  }
  finish_all({0});
}

}  // namespace
}  // namespace procpool::core
