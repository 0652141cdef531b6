// SPDX-License-Identifier: MIT
// Room in a bounded pool: who waits for it, who gets it when, and what ends the waiting.
#include <unistd.h>

#include <memory>

#include "engine_fixture.h"

namespace procpool::core {
namespace {

using procpool::testing::state_of;

/// A call that a thread of its own submits.
class submitter {
 public:
  struct kind {
    std::size_t items = 1;
    std::size_t chunk = 1;
    bool one_chunk = false;
    bool fail_fast = false;
    bool bounded = true;
    task_options limits = {};
    std::uint32_t first = 0;  // item's value
    std::function<void(std::uint32_t)> before = {};
  };

  submitter(engine& pool, kind k)
      : thread_([this, &pool, k] {
          tid_ = ::gettid();
          items input(k.items);
          input.next = k.first;
          input.before = [&](std::uint32_t i) {
            if (k.before) k.before(i);
            ++encoded_;
          };
          detail::call_options o;
          o.chunksize = k.chunk;
          o.one_chunk = k.one_chunk;
          o.fail_fast = k.fail_fast;
          o.bounded = k.bounded;
          o.limits = &k.limits;
          if (k.limits.deadline.count() != 0) o.until = clock::now() + k.limits.deadline;
          try {
            pool.submit(call, entry, input, o);
            ended_with_ = "submitted";
          } catch (const pool_full&) {
            ended_with_ = "full";
          } catch (const pool_closed&) {
            ended_with_ = "closed";
          } catch (const pool_terminated&) {
            ended_with_ = "terminated";
          } catch (const pool_broken&) {
            ended_with_ = "broken";
          } catch (const task_timeout& e) {
            ended_with_ = e.kind() == task_timeout::kind_type::deadline ? "too late" : "timed out";
          } catch (const std::exception& e) {
            ended_with_ = e.what();
          }
          over_ = true;
        }) {}
  ~submitter() { join(); }

  /// It has encoded so many items, and stands in line with the last of them.
  [[nodiscard]] bool waits(const fake_backend& fake, std::size_t encoded = 1) const {
    return eventually(
        [&] { return !over_ && encoded_ == encoded && state_of(tid_) == 'S' && fake.quiet(); });
  }
  [[nodiscard]] std::size_t encoded() const { return encoded_; }
  [[nodiscard]] bool over() const { return over_; }
  /// "submitted", or what was thrown.
  std::string end() {
    if (!eventually([this] { return over_.load(); }, 20s)) return "waits for ever";
    join();
    return ended_with_;
  }

  const std::shared_ptr<recorder> call = std::make_shared<recorder>();

 private:
  void join() {
    if (thread_.joinable()) thread_.join();
  }

  std::atomic<pid_t> tid_{0};
  std::atomic<std::size_t> encoded_{0};
  std::atomic<bool> over_{false};
  std::string ended_with_;
  std::thread thread_;
};

class engine_room_test : public engine_test {
 protected:
  using kind = submitter::kind;

  void TearDown() override {
    if (pool) pool->terminate();
    started_.clear();
    engine_test::TearDown();
  }
  std::shared_ptr<submitter> start(const kind& k) {
    return started_.emplace_back(std::make_shared<submitter>(*pool, k));
  }
  /// A pool of one worker that holds as much as it may: `bound` items of one call.
  std::shared_ptr<recorder> fill(std::size_t bound, std::size_t chunk = 1) {
    asked.max_pending = bound;
    make(1, 1);
    return submit(bound, chunk);
  }
  std::size_t sent_to(worker_id w) const {
    std::size_t n = 0;
    for (const auto& s : fake->ring(w)) n += s.kept;
    return n;
  }
  /// The value of the first item that the worker has at hand.
  std::uint32_t at_hand() const {
    std::uint32_t value = 0;
    std::memcpy(&value, fake->ring(0).front().parcel.data(), sizeof value);
    return value;
  }
  void finish_one() {
    ASSERT_TRUE(eventually([&] { return fake->held(0) != 0; }));
    fake->finish(0);
  }
  /// A thread that waits for the call, and drives meanwhile.
  std::thread driver_for(const std::shared_ptr<recorder>& call) {
    std::thread made([this, call] { wait(*call, 60s); });
    EXPECT_TRUE(eventually([&] { return fake->waiting(); }));
    return made;
  }

 private:
  std::vector<std::shared_ptr<submitter>> started_;  // what waits when a test fails ends with it
};

// ---- how much -----------------------------------------------------------------------------------

TEST_F(engine_room_test, a_call_goes_in_as_room_comes_and_never_more_than_that) {
  asked.max_pending = 4;
  make(1, 1);
  auto s = start({.items = 10});
  for (std::size_t done = 0; done + 4 < 10; ++done) {
    ASSERT_TRUE(s->waits(*fake, done + 5)) << "four are pending, the fifth is in its hand";
    EXPECT_EQ(s->call->count(by_0), done);
    finish_one();
  }
  EXPECT_EQ(s->end(), "submitted");
  work_off(*s->call, {0});
  EXPECT_EQ(s->call->all(), repeated(10, by_0));
}

TEST_F(engine_room_test, without_a_bound_nobody_waits) {
  make(1, 1);
  auto call = submit(1000, 1);
  EXPECT_EQ(fake->held(0), 2u);
  pool->abandon(*call);
}

TEST_F(engine_room_test, no_chunk_is_larger_than_the_bound) {
  asked.max_pending = 8;
  make(1, 1);
  auto s = start({.items = 20, .chunk = 100});
  ASSERT_TRUE(s->waits(*fake, 16));
  EXPECT_EQ(sent_to(0), 8u);
  work_off(*s->call, {0});
  EXPECT_EQ(s->end(), "submitted");
}

TEST_F(engine_room_test, a_chunk_that_the_pool_chooses_leaves_room_for_every_worker) {
  asked.max_pending = 8;
  make(2, 2);
  auto s = start({.items = 1000, .chunk = 0});
  ASSERT_TRUE(s->waits(*fake, 10)) << "four messages, and the one in its hand";
  for (worker_id w : {0u, 1u}) EXPECT_EQ(fake->ring(w).front().count, 2u);
  pool->terminate();
  EXPECT_EQ(s->end(), "terminated");
}

TEST_F(engine_room_test, bytes_are_bounded_too) {
  asked.max_pending_bytes = 32;  // eight items, in messages of four
  make(1, 1);
  auto s = start({.items = 100, .chunk = 0});
  ASSERT_TRUE(s->waits(*fake, 12));
  EXPECT_EQ(sent_to(0), 8u);
  finish_one();
  ASSERT_TRUE(s->waits(*fake, 16));
  EXPECT_EQ(s->call->count(by_0), 4u);
  work_off(*s->call, {0});
  EXPECT_EQ(s->end(), "submitted");
  EXPECT_EQ(s->call->all(), repeated(100, by_0));
}

// What was taken back before the worker came to it stands in its ring all the same, until it does.
TEST_F(engine_room_test, bytes_of_what_has_ended_take_no_room_while_a_ring_still_holds_it) {
  asked.max_pending_bytes = 8;  // two items
  make(1, 1);
  auto first = submit(1, 1);
  ASSERT_EQ(fake->claim(0, 1), 1u);
  auto second = submit(1, 1);
  ASSERT_TRUE(pool->cancel(*second));
  ASSERT_EQ(fake->held(0), 2u);
  auto third = start({.one_chunk = true, .limits = {.when_full = when_full::fail}});
  EXPECT_EQ(third->end(), "submitted");
  EXPECT_EQ(start({.one_chunk = true, .limits = {.when_full = when_full::fail}})->end(), "full");
  work_off(*third->call, {0});
  EXPECT_EQ(first->all(), lines{by_0});
  EXPECT_EQ(second->all(), lines{"cancelled"});
  EXPECT_TRUE(eventually([&] { return fake->held(0) == 0; }));
  EXPECT_EQ(start({.items = 2, .chunk = 2, .one_chunk = true})->end(), "submitted");
}

TEST_F(engine_room_test, what_is_larger_than_the_bound_goes_alone) {
  asked.max_pending_bytes = 3;
  make(1, 1);
  auto s = start({.items = 3, .chunk = 0});
  for (std::size_t done = 0; done < 2; ++done) {
    ASSERT_TRUE(s->waits(*fake, done + 2));
    EXPECT_EQ(sent_to(0), 1u);
    finish_one();
  }
  EXPECT_EQ(s->end(), "submitted");
  work_off(*s->call, {0});
}

TEST_F(engine_room_test, a_stream_neither_waits_nor_takes_room) {
  auto full = fill(2);
  for (int i = 0; i < 3; ++i)
    EXPECT_EQ(start({.one_chunk = true, .bounded = false})->end(), "submitted");
  finish_one();
  ASSERT_TRUE(eventually([&] { return full->count(by_0) == 1; }));
  EXPECT_EQ(start({.one_chunk = true})->end(), "submitted") << "only the other one is pending";
  pool->abandon(*full);
}

// ---- who is next --------------------------------------------------------------------------------

TEST_F(engine_room_test, who_came_first_goes_first) {
  auto full = fill(1);
  std::vector<std::shared_ptr<submitter>> line;
  for (std::uint32_t i = 1; i <= 5; ++i) {
    line.push_back(start({.one_chunk = i % 2 == 0, .first = i}));
    ASSERT_TRUE(line.back()->waits(*fake));
  }
  for (std::uint32_t i = 1; i <= 5; ++i) {
    finish_one();
    ASSERT_TRUE(eventually([&] { return fake->held(0) == 1; }));
    EXPECT_EQ(at_hand(), i);
    EXPECT_EQ(line[i - 1]->end(), "submitted");
  }
  work_off(*line.back()->call, {0});
}

TEST_F(engine_room_test, nobody_overtakes_one_that_needs_more) {
  auto full = fill(4, 2);
  auto large = start({.items = 4, .chunk = 4, .first = 1});
  ASSERT_TRUE(large->waits(*fake, 4));
  auto small = start({.first = 9});
  ASSERT_TRUE(small->waits(*fake));
  finish_one();
  ASSERT_TRUE(eventually([&] { return full->count(by_0) == 2; }));
  EXPECT_TRUE(large->waits(*fake, 4));
  EXPECT_TRUE(small->waits(*fake));
  finish_one();
  EXPECT_EQ(large->end(), "submitted");
  EXPECT_TRUE(small->waits(*fake));
  finish_one();
  EXPECT_EQ(small->end(), "submitted");
  work_off(*small->call, {0});
}

TEST_F(engine_room_test, one_that_leaves_the_line_lets_the_next_one_in) {
  auto full = fill(4, 2);
  auto large = start({.items = 4, .chunk = 4, .one_chunk = true});
  ASSERT_TRUE(large->waits(*fake, 4));
  auto small = start({});
  ASSERT_TRUE(small->waits(*fake));
  finish_one();
  ASSERT_TRUE(eventually([&] { return full->count(by_0) == 2; }));
  pool->close();  // which a call goes through that was there before
  EXPECT_EQ(large->end(), "closed");
  EXPECT_EQ(small->end(), "submitted");
  work_off(*small->call, {0});
}

TEST_F(engine_room_test, and_so_does_one_whose_time_is_over) {
  auto full = fill(4, 2);
  std::thread driver = driver_for(full);  // so that those in line are woken by name
  auto large = start({.items = 4, .chunk = 4, .one_chunk = true, .limits = {.deadline = 300ms}});
  ASSERT_TRUE(large->waits(*fake, 4) || large->over());
  auto small = start({});
  finish_one();
  EXPECT_EQ(large->end(), "too late");
  EXPECT_EQ(small->end(), "submitted");
  work_off(*small->call, {0});
  driver.join();
}

// ---- where room comes from ----------------------------------------------------------------------

TEST_F(engine_room_test, a_death_makes_room_for_one_and_a_retry_for_none) {
  auto call = std::make_shared<recorder>();
  asked.max_pending = 2;
  make(1, 1);
  const task_options twice{.retries = 1};
  submit(call, 2, 2, false, &twice);
  auto s = start({});
  ASSERT_TRUE(s->waits(*fake));
  fake->die(0, 0);
  fake->up(0);
  EXPECT_TRUE(s->waits(*fake)) << "it is to run again";
  ASSERT_TRUE(eventually([&] { return fake->held(0) != 0; }));
  fake->die(0, 0);
  EXPECT_EQ(s->end(), "submitted");
  fake->up(0);
  work_off(*s->call, {0});
  work_off(*call, {0});
  EXPECT_EQ(call->count(by_0), 1u);
}

TEST_F(engine_room_test, cancelling_and_abandoning_make_room) {
  asked.max_pending = 2;
  make(1, 0);
  auto cancelled = submit(2, 1);
  auto first = start({.items = 2});
  ASSERT_TRUE(first->waits(*fake));
  EXPECT_TRUE(pool->cancel(*cancelled));
  EXPECT_EQ(first->end(), "submitted");
  auto second = start({});
  ASSERT_TRUE(second->waits(*fake));
  pool->abandon(*first->call);
  EXPECT_EQ(second->end(), "submitted");
  fake->up(0);
  work_off(*second->call, {0});
}

TEST_F(engine_room_test, what_cannot_be_sent_makes_room) {
  asked.max_pending = 1;
  make(1, 0);
  auto call = submit(1, 1);
  auto s = start({});
  ASSERT_TRUE(s->waits(*fake));
  fake->fail_send(1);
  fake->up(0);
  EXPECT_EQ(s->end(), "submitted");
  EXPECT_EQ(call->all(), lines{"no memory"});
  work_off(*s->call, {0});
}

TEST_F(engine_room_test, an_input_that_throws_gives_back_what_its_call_took) {
  asked.max_pending = 2;
  make(1, 0);
  std::atomic<bool> go{false};
  auto bad = start({.items = 3, .before = [&](std::uint32_t i) {
                      if (i < 2) return;
                      EXPECT_TRUE(eventually([&] { return go.load(); }));
                      throw std::runtime_error("the input");
                    }});
  ASSERT_TRUE(eventually([&] { return bad->encoded() == 2; }));
  auto s = start({.items = 2, .chunk = 2});
  ASSERT_TRUE(s->waits(*fake, 2));
  go = true;
  EXPECT_EQ(bad->end(), "the input");
  EXPECT_EQ(s->end(), "submitted");
  fake->up(0);
  work_off(*s->call, {0});
}

// ---- not waiting --------------------------------------------------------------------------------

TEST_F(engine_room_test, who_does_not_want_to_wait_is_told) {
  auto full = fill(2);
  const task_options now{.when_full = when_full::fail};
  EXPECT_EQ(start({.one_chunk = true, .limits = now})->end(), "full");
  EXPECT_EQ(start({.limits = now})->end(), "full");
  work_off(*full, {0});
  EXPECT_EQ(start({.limits = now})->end(), "submitted");
}

TEST_F(engine_room_test, a_call_that_does_not_fit_leaves_nothing_behind) {
  asked.max_pending = 4;
  make(1, 0);
  EXPECT_EQ(start({.items = 6, .limits = {.when_full = when_full::fail}})->end(), "full");
  auto next = submit(4, 1);
  fake->up(0);
  work_off(*next, {0});
  EXPECT_EQ(next->all(), repeated(4, by_0));
}

TEST_F(engine_room_test, who_stands_in_line_is_not_overtaken_by_one_that_does_not_wait) {
  auto full = fill(4, 2);
  auto large = start({.items = 4, .chunk = 4});
  ASSERT_TRUE(large->waits(*fake, 4));
  finish_one();
  ASSERT_TRUE(eventually([&] { return full->count(by_0) == 2; }));
  EXPECT_EQ(start({.limits = {.when_full = when_full::fail}})->end(), "full");
  work_off(*large->call, {0});
}

TEST_F(engine_room_test, a_callback_does_not_wait) {
  auto full = fill(2);
  struct next : detail::continuation {
    explicit next(std::function<void()> f) : call(std::move(f)) {}
    void run() noexcept override { call(); }
    std::function<void()> call;
  };
  const auto other = std::make_shared<recorder>();
  std::atomic<int> seen{0};
  auto first = std::make_shared<recorder>();
  items one(1);
  pool->submit(first, entry, one, {.chunksize = 1, .one_chunk = true, .bounded = false});
  pool->then(*first, std::make_unique<next>([&] {
    items more(1);
    try {
      pool->submit(other, entry, more, {.chunksize = 1, .one_chunk = true});
      seen = 1;
    } catch (const pool_full&) {
      seen = 2;
    }
  }));
  EXPECT_TRUE(pool->cancel(*first));
  EXPECT_TRUE(eventually([&] { return seen != 0; }));
  EXPECT_EQ(seen, 2);
  pool->abandon(*full);
}

// ---- what ends the waiting ----------------------------------------------------------------------

TEST_F(engine_room_test, a_deadline_counts_while_its_call_waits) {
  auto full = fill(1);
  EXPECT_EQ(start({.one_chunk = true, .limits = {.deadline = 20ms}})->end(), "too late");
  auto s = start({.items = 5, .limits = {.deadline = 20ms}});
  EXPECT_EQ(s->end(), "submitted");
  EXPECT_TRUE(wait(*s->call));
  EXPECT_EQ(s->call->all(), repeated(5, "too late"));
  EXPECT_EQ(full->count(""), 1u);
  work_off(*full, {0});
}

TEST_F(engine_room_test, a_call_that_has_failed_fast_waits_no_more) {
  asked.max_pending = 4;
  make(2, 1);
  auto full = submit(2, 2);
  fake->claim(0, 2);
  fake->up(1);
  auto s = start({.items = 6, .fail_fast = true});
  ASSERT_TRUE(s->waits(*fake, 3));
  auto large = start({.items = 4, .chunk = 4});
  ASSERT_TRUE(large->waits(*fake, 4));
  ASSERT_TRUE(eventually([&] { return fake->held(1) != 0; }));
  fake->finish(1);
  ASSERT_TRUE(s->waits(*fake, 4)) << "its third is in, and its fourth behind the large one";
  ASSERT_TRUE(eventually([&] { return fake->held(1) != 0; }));
  fake->die(1, 0);
  EXPECT_EQ(s->end(), "submitted");
  EXPECT_EQ(s->call->count("cancelled") + s->call->count(""), 4u);
  EXPECT_TRUE(large->waits(*fake, 4)) << "two are pending";
}

TEST_F(engine_room_test, termination_sends_everybody_home) {
  auto full = fill(1);
  auto apply = start({.one_chunk = true});
  auto map = start({.items = 3});
  ASSERT_TRUE(apply->waits(*fake));
  ASSERT_TRUE(map->waits(*fake));
  pool->terminate();
  EXPECT_EQ(apply->end(), "terminated");
  EXPECT_EQ(map->end(), "terminated");
}

TEST_F(engine_room_test, termination_does_not_wait_for_results_that_are_being_read) {
  asked.max_pending = 1;
  make(1, 1);
  std::atomic<bool> open{false};
  auto full = std::make_shared<recorder>();
  full->gate = [&] { EXPECT_TRUE(eventually([&] { return open.load(); }, 20s)); };
  submit(full, 1, 1);
  std::thread driver = driver_for(full);
  auto s = start({.one_chunk = true});
  ASSERT_TRUE(s->waits(*fake));
  finish_one();
  ASSERT_TRUE(eventually([&] { return !fake->waiting(); }));
  pool->terminate();
  EXPECT_EQ(s->end(), "terminated");
  EXPECT_FALSE(open);
  open = true;
  driver.join();
}

TEST_F(engine_room_test, a_pool_that_breaks_says_why) {
  auto full = fill(1);
  auto apply = start({.one_chunk = true});
  auto map = start({.items = 3});
  ASSERT_TRUE(apply->waits(*fake));
  ASSERT_TRUE(map->waits(*fake));
  fake->break_down({false, "the zygote", nullptr});
  EXPECT_EQ(apply->end(), "broken");
  EXPECT_EQ(map->end(), "broken");
}

TEST_F(engine_room_test, closing_turns_away_what_it_has_not_taken_and_ends_what_it_has) {
  auto full = fill(2);
  auto map = start({.items = 4});
  ASSERT_TRUE(map->waits(*fake));
  auto apply = start({.one_chunk = true});
  ASSERT_TRUE(apply->waits(*fake));
  pool->close();
  EXPECT_EQ(apply->end(), "closed");
  EXPECT_TRUE(map->waits(*fake));
  EXPECT_FALSE(fake->retired());
  work_off(*map->call, {0});
  EXPECT_EQ(map->end(), "submitted");
  EXPECT_EQ(map->call->all(), repeated(4, by_0));
  EXPECT_TRUE(eventually([&] { return fake->retired(); }));
}

// ---- all of it at once --------------------------------------------------------------------------

TEST_F(engine_room_test, many_threads_and_every_end_at_once) {
  asked.max_pending = 10;
  asked.max_pending_bytes = 40;  // ten items, too
  make(2, 2);
  std::atomic<bool> over{false};
  std::thread workers([&] {
    std::size_t deaths = 0;
    for (unsigned round = 1; !over; ++round) {
      for (worker_id w : {0u, 1u}) {
        if (fake->held(w) == 0) continue;
        if (round % 17 == 0) {
          fake->die(w, 0);
          ++deaths;
          // Its place is filled again when nobody reads what it left.
          EXPECT_TRUE(eventually([&] { return fake->buried().size() == deaths; }, 20s));
          fake->up(w);
        } else {
          fake->finish(w);
        }
      }
      std::this_thread::yield();
    }
  });
  std::atomic<std::size_t> told{0};
  std::atomic<std::size_t> wanted{0};
  std::vector<std::thread> callers;
  for (unsigned t = 0; t < 6; ++t)
    callers.emplace_back([&, t] {
      for (unsigned i = 0; i < 100; ++i) {
        kind k{.items = 1 + (i + t) % 7, .chunk = i % 4, .fail_fast = i % 5 == 0};
        if (i % 3 == 0) k.items = 1, k.chunk = 1, k.one_chunk = true;
        if (i % 11 == 0) k.limits.when_full = when_full::fail;
        if (i % 13 == 0) k.limits.deadline = 1ms;
        submitter s(*pool, k);
        if (s.end() != "submitted") continue;
        wanted += k.items;
        if (i % 6 == 0) pool->cancel(*s.call);
        EXPECT_TRUE(wait(*s.call, 20s));
        const auto all = s.call->all();
        told += all.size() - s.call->count("");
      }
    });
  for (auto& c : callers) c.join();
  EXPECT_EQ(told, wanted) << "every item that was taken has one outcome";
  // What a cancelled call has left in a ring goes with it.
  EXPECT_TRUE(eventually([&] {
    return fake->held(0) + fake->held(1) == 0 && fake->unreleased() == 0 && fake->quiet();
  }));
  over = true;
  workers.join();
  // All that was counted was given back, and no more than that.
  const task_options now{.when_full = when_full::fail};
  EXPECT_EQ(start({.items = 10, .limits = now})->end(), "submitted");
  EXPECT_EQ(start({.items = 1, .limits = now})->end(), "full");
}

}  // namespace
}  // namespace procpool::core
