// SPDX-License-Identifier: MIT
// The contract of async_result: waiting, asking, cancelling, continuing, and what is left after the
// pool.
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <future>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "procpool/procpool.h"
#include "support/board.h"
#include "support/methods.h"
#include "support/samples.h"
#include "support/tasks.h"

namespace {

using namespace procpool::testing;  // NOLINT(google-build-using-namespace)
using namespace std::chrono_literals;
using procpool::async_result;
using procpool::pool;
using clock = std::chrono::steady_clock;

class result : public pool_test {};
class pending : public pool_test {};  // results that are not there yet
PROCPOOL_EVERY_METHOD(result);
PROCPOOL_PROCESS_METHODS(pending);

int fail(int x) { throw std::domain_error("no " + std::to_string(x)); }

// ---- the table of a finished one

TEST_P(result, of_a_success) {
  pool p(with());
  auto r = p.apply_async(square, 3);
  EXPECT_TRUE(r.valid());
  r.wait();
  EXPECT_TRUE(r.ready());
  EXPECT_TRUE(r.successful());
  EXPECT_TRUE(r.wait_for(0s));
  EXPECT_TRUE(r.wait_for(-1h));
  EXPECT_TRUE(r.wait_for(1h));
  EXPECT_TRUE(r.wait_until(clock::now()));
  EXPECT_TRUE(r.wait_until(std::chrono::system_clock::now() - 1h));
  EXPECT_FALSE(r.cancel());  // it has ended
  EXPECT_TRUE(r.valid());
  EXPECT_EQ(r.get(), 9);
  EXPECT_FALSE(r.valid());
}

TEST_P(result, of_a_failure) {
  pool p(with());
  auto r = p.apply_async(fail, 3);
  r.wait();  // says nothing of the failure
  EXPECT_TRUE(r.ready());
  EXPECT_FALSE(r.successful());
  EXPECT_TRUE(r.wait_for(0s));
  EXPECT_FALSE(r.cancel());
  EXPECT_THROW(r.get(), std::domain_error);
  EXPECT_FALSE(r.valid());
}

TEST_P(result, of_void) {
  pool p(with());
  async_result<void> good = p.apply_async([] {});
  good.get();
  async_result<void> bad = p.apply_async([] { throw std::domain_error("void"); });
  EXPECT_THROW(bad.get(1h), std::domain_error);
}

TEST_P(result, can_be_got_once) {
  pool p(with());
  auto r = p.apply_async(square, 3);
  EXPECT_EQ(r.get(1h), 9);
  EXPECT_FALSE(r.valid());
  EXPECT_THROW(r.get(), std::logic_error);
  EXPECT_THROW(r.get(1s), std::logic_error);
  EXPECT_THROW(r.wait(), std::logic_error);
  EXPECT_THROW(static_cast<void>(r.ready()), std::logic_error);
  EXPECT_THROW(r.cancel(), std::logic_error);
  EXPECT_THROW(static_cast<void>(r.then([](int) {})), std::logic_error);
  EXPECT_THROW(std::move(r).to_future(), std::logic_error);
  async_result<int> none;
  EXPECT_FALSE(none.valid());
  EXPECT_THROW(none.get(), std::logic_error);
}

TEST_P(result, moves_and_does_not_copy) {
  static_assert(std::is_nothrow_move_constructible_v<async_result<int>>);
  static_assert(!std::is_copy_constructible_v<async_result<int>>);
  pool p(with());
  auto a = p.apply_async(square, 3);
  auto b = std::move(a);
  EXPECT_FALSE(a.valid());  // NOLINT(bugprone-use-after-move): that is the test
  EXPECT_TRUE(b.valid());
  a = std::move(b);
  EXPECT_EQ(a.get(), 9);
  a = p.apply_async(square, 4);
  EXPECT_EQ(a.get(), 16);
  auto owner = p.apply_async([] { return std::make_unique<int>(5); });
  EXPECT_EQ(*owner.get(), 5);
}

TEST_P(result, of_a_map_is_one_for_all_items) {
  pool p(with());
  auto r = p.map_async(square, ints{1, 2, 3});
  r.wait();
  EXPECT_TRUE(r.successful());
  EXPECT_EQ(r.get(), (ints{1, 4, 9}));
  auto bad = p.map_async(fail, ints{1, 2, 3});
  bad.wait();
  EXPECT_FALSE(bad.successful());
  EXPECT_THROW(bad.get(), std::domain_error);
}

TEST_P(result, dropping_it_neither_waits_nor_cancels) {
  board b;
  pool p(with(1));
  for (int i = 0; i < 10; ++i) static_cast<void>(p.apply_async([m = b.here()] { m.add(0); }));
  p.close();
  p.join();
  EXPECT_EQ(b->at(0), 10);
}

TEST_P(result, outlives_its_pool) {
  async_result<int> good;
  async_result<int> bad;
  async_result<ints> many;
  {
    pool p(with());
    good = p.apply_async(square, 3);
    bad = p.apply_async(fail, 3);
    many = p.map_async({.chunksize = 1}, square, ints{1, 2, 3});
  }
  EXPECT_TRUE(good.ready());
  EXPECT_TRUE(good.successful());
  EXPECT_FALSE(bad.cancel());
  EXPECT_EQ(good.get(), 9);
  EXPECT_EQ(many.get(1s), (ints{1, 4, 9}));
  EXPECT_THROW(bad.get(), std::domain_error);
}

TEST_P(result, says_what_it_is) {
  pool p(with());
  auto good = p.apply_async(square, 3);
  auto bad = p.apply_async(fail, 3);
  good.wait();
  bad.wait();
  EXPECT_EQ(good.to_string(), "<procpool::async_result state=finished>");
  EXPECT_EQ(bad.to_string(), "<procpool::async_result state=failed>");
  EXPECT_FALSE(good.running());
  good.get();
  EXPECT_EQ(good.to_string(), "<procpool::async_result state=empty>");
  std::ostringstream out;
  out << bad << good;
  EXPECT_EQ(out.str(), "<procpool::async_result state=failed><procpool::async_result state=empty>");
  auto after = p.apply_async(square, 3).then([](int x) { return x; });
  after.wait();
  EXPECT_EQ(after.to_string(), "<procpool::async_result state=finished>");
}

// ---- results that are not there yet

TEST_P(pending, is_not_ready) {
  board b;
  pool p(with(1));
  auto r = p.apply_async(waits(b), 3);
  EXPECT_FALSE(r.ready());
  EXPECT_TRUE(r.valid());
  EXPECT_THROW(static_cast<void>(r.successful()), std::logic_error);
  EXPECT_FALSE(r.wait_for(0s));
  EXPECT_FALSE(r.wait_for(-1s));
  EXPECT_FALSE(r.wait_for(1ms));
  EXPECT_FALSE(r.wait_until(clock::now() + 1ms));
  EXPECT_FALSE(r.wait_until(clock::now() - 1h));
  EXPECT_FALSE(r.wait_until(std::chrono::system_clock::now() + 1ms));
  b->set(0);
  EXPECT_TRUE(r.wait_for(ages));
  EXPECT_EQ(r.get(), 3);
}

TEST_P(pending, says_whether_it_runs) {
  board b;
  pool p(with(1));
  auto running = p.map_async({.chunksize = 2}, waits(b), ints{1, 2, 3, 4});
  auto queued = p.apply_async(waits(b), 5);
  auto cancelled = p.map_async(waits(b), ints{6, 7});
  b->await(1);
  EXPECT_TRUE(running.running());
  EXPECT_EQ(running.to_string(), "<procpool::async_result state=running>");
  EXPECT_FALSE(queued.running());
  EXPECT_EQ(queued.to_string(), "<procpool::async_result state=pending>");
  EXPECT_TRUE(cancelled.cancel());
  EXPECT_FALSE(cancelled.running());
  EXPECT_EQ(cancelled.to_string(), "<procpool::async_result state=cancelled>");
  EXPECT_TRUE(running.running());
  b->set(0);
  running.wait();
  EXPECT_EQ(running.to_string(), "<procpool::async_result state=finished>");
  EXPECT_EQ(queued.get(), 5);
}

// Between two of its chunks it runs, too.
TEST_P(pending, runs_until_the_last_item_has_ended) {
  board b;
  pool p(with(1));
  auto all = p.map_async(
      {.chunksize = 1},
      [m = b.here()](int i) {
        m.add(1);
        m.await(0, i);
        return i;
      },
      ints{1, 2, 3});
  for (int i = 1; i <= 3; ++i) {
    b->await(1, i);
    EXPECT_TRUE(all.running()) << i;
    b->add(0);
  }
  all.wait();
  EXPECT_FALSE(all.running());
}

TEST_P(pending, a_timeout_changes_nothing) {
  board b;
  pool p(with(1));
  auto r = p.apply_async(waits(b), 3);
  const auto start = clock::now();
  EXPECT_THROW(r.get(50ms), procpool::timeout_error);
  const auto took = clock::now() - start;
  EXPECT_GE(took, 50ms);
  EXPECT_LT(took, 5s);
  EXPECT_THROW(r.get(0s), procpool::timeout_error);
  EXPECT_THROW(r.get(-1s), procpool::timeout_error);
  EXPECT_TRUE(r.valid());
  try {
    r.get(1ms);
  } catch (const procpool::timeout_error& e) {
    EXPECT_EQ(procpool::remote_info::of(e), nullptr);  // ours, not the task's
  }
  b->set(0);
  EXPECT_EQ(r.get(ages), 3);
}

TEST_P(pending, forever_is_a_duration_too) {
  board b;
  pool p(with(1));
  auto r = p.apply_async(waits(b), 3);
  b->set(0);
  EXPECT_TRUE(r.wait_for(std::chrono::hours::max()));
  EXPECT_TRUE(r.wait_until(clock::time_point::max()));
  EXPECT_EQ(r.get(std::chrono::nanoseconds::max()), 3);
}

TEST_P(pending, get_takes_about_as_long_as_the_task) {
  pool p(with(1));
  const auto start = clock::now();
  auto r = p.apply_async([] { std::this_thread::sleep_for(100ms); });
  EXPECT_LT(clock::now() - start, 5s);
  r.get();
  EXPECT_GE(clock::now() - start, 100ms);
}

TEST_P(pending, another_thread_may_bring_it) {
  board b;
  pool p(with(1));
  auto r = p.apply_async(waits(b), 3);
  auto getter = std::async(std::launch::async, [r = std::move(r)]() mutable { return r.get(); });
  EXPECT_EQ(getter.wait_for(1ms), std::future_status::timeout);
  b->set(0);
  EXPECT_EQ(getter.get(), 3);
}

TEST_P(pending, many_threads_wait_at_once) {
  board b;
  pool p(with(2));
  std::vector<std::future<int>> getters;
  for (int i = 0; i < 20; ++i)
    getters.push_back(std::async(std::launch::async,
                                 [r = p.apply_async(waits(b), i)]() mutable { return r.get(); }));
  b->set(0);
  for (int i = 0; i < 20; ++i) EXPECT_EQ(getters[static_cast<std::size_t>(i)].get(), i);
}

// pending: yes; running: yes, and it is stopped; finished: no; twice: yes
TEST_P(pending, cancel_of_what_has_not_started_is_at_once) {
  board b;
  pool p(with(1));
  auto running = p.apply_async(waits(b), 1);
  b->await(1);
  std::vector<async_result<int>> queued;
  for (int i = 0; i < 10; ++i) queued.push_back(p.apply_async(waits(b), i));
  for (auto& q : queued) {
    EXPECT_TRUE(q.cancel());
    EXPECT_TRUE(q.cancel());
    EXPECT_TRUE(q.ready());
    EXPECT_FALSE(q.successful());
    EXPECT_THROW(q.get(), procpool::task_cancelled);
  }
  EXPECT_FALSE(running.ready());
  b->set(0);
  EXPECT_EQ(running.get(), 1);
  p.close();
  p.join();
  EXPECT_EQ(b->at(1), 1);  // none of the cancelled ever ran
}

TEST_P(pending, cancel_of_what_runs_stops_it) {
  board b;
  pool p(with(1));
  const int worker = p.apply(::getpid);
  auto running = p.apply_async(waits(b), 1);
  b->await(1);
  auto behind = p.apply_async(square, 3);
  EXPECT_TRUE(running.cancel());
  EXPECT_TRUE(running.cancel());
  EXPECT_THROW(running.get(), procpool::task_cancelled);
  EXPECT_EQ(::kill(worker, 0), -1) << "nothing of it runs any more";
  EXPECT_EQ(behind.get(), 9);
  EXPECT_NE(p.apply(::getpid), worker);
}

TEST_P(pending, cancel_asks_first_where_that_was_said) {
  pool p(with(1));
  board b;
  const int worker = p.apply(::getpid);
  auto running =
      p.apply_async({.stop_steps = procpool::stop_steps{.token_grace = ages}}, [m = b.here()] {
        m.set(1);
        while (!procpool::this_worker::stop_requested()) ::usleep(100);
      });
  b->await(1);
  EXPECT_TRUE(running.cancel());
  EXPECT_THROW(running.get(), procpool::task_cancelled);
  EXPECT_EQ(p.apply(::getpid), worker);
}

TEST_P(pending, cancel_of_what_has_ended_is_false) {
  pool p(with(1));
  auto done = p.apply_async(square, 3);
  done.wait();
  EXPECT_FALSE(done.cancel());
  EXPECT_EQ(done.get(), 9);
}

TEST_P(pending, cancel_of_a_map_ends_all_that_has_not_ended) {
  board b;
  pool p(with(2));
  auto running = p.map_async({.chunksize = 2}, waits(b), first(50));
  b->await(1, 2);
  auto queued = p.map_async({.chunksize = 2}, waits(b), ints{1, 2, 3, 4, 5});
  EXPECT_TRUE(queued.cancel());
  EXPECT_THROW(queued.get(), procpool::task_cancelled);
  EXPECT_TRUE(running.cancel());
  EXPECT_THROW(running.get(), procpool::task_cancelled);
  EXPECT_EQ(b->at(1), 2);  // none but the two that ran has begun
  EXPECT_EQ(p.map(square, first(100)), squares(100));
}

TEST_P(pending, cancel_of_a_map_that_has_failed_stops_the_rest_of_it) {
  board b;
  pool p(with(2));
  auto r = p.map_async(
      {.chunksize = 1, .fail_fast = true},
      [m = b.here()](int x) {
        m.add(1);
        if (x == 1) {
          m.await(1, 2);
          throw std::domain_error("one");
        }
        m.await(0);
        return x;
      },
      ints{0, 1, 2, 3});
  b->await(1, 2);
  EXPECT_TRUE(eventually([&] { return r.cancel(); }));
  EXPECT_THROW(r.get(), std::exception);  // the failure, or task_cancelled: whatever came first
  EXPECT_EQ(p.map(square, first(10)), squares(10));
}

TEST_P(pending, cancelled_right_before_the_end) {
  board b;
  auto p = std::make_unique<pool>(with(1));
  auto running = p->apply_async(waits(b), 1);
  b->await(1);
  auto queued = p->apply_async(waits(b), 2);
  EXPECT_TRUE(queued.cancel());
  b->set(0);
  p.reset();
  EXPECT_EQ(running.get(), 1);
  EXPECT_THROW(queued.get(), procpool::task_cancelled);
}

TEST_P(pending, the_rest_can_be_cancelled_before_the_end) {
  board b;
  pool p(with(2));
  std::vector<async_result<int>> all;
  for (int i = 0; i < 50; ++i) all.push_back(p.apply_async(waits(b), i));
  b->await(1, 2);
  int cancelled = 0;
  for (auto& r : all)
    if (!r.running()) cancelled += r.cancel() ? 1 : 0;
  EXPECT_EQ(cancelled, 48);  // all but the two that run
  p.close();
  b->set(0);
  p.join();
  for (int i = 0; i < 50; ++i) {
    try {
      EXPECT_EQ(all[static_cast<std::size_t>(i)].get(), i);
    } catch (const procpool::task_cancelled&) {
      --cancelled;
    }
  }
  EXPECT_EQ(cancelled, 0);
  EXPECT_EQ(b->at(1), 2);
}

TEST_P(pending, submit_and_cancel_race) {
  pool p(with(2));
  int ran = 0;
  int cancelled = 0;
  for (int i = 0; i < 300; ++i) {
    auto r = p.apply_async(square, i);
    const bool was = r.cancel();
    try {
      EXPECT_EQ(r.get(), i * i);
      EXPECT_FALSE(was);
      ++ran;
    } catch (const procpool::task_cancelled&) {
      EXPECT_TRUE(was);
      ++cancelled;
    }
  }
  EXPECT_EQ(ran + cancelled, 300);
}

TEST_P(pending, a_cancelled_argument_is_released) {
  board b;
  pool p(with(1));
  auto running = p.apply_async(waits(b), 1);
  {
    auto r = p.apply_async([](const tracked& t) { return t; }, tracked(1));
    EXPECT_TRUE(r.cancel());
  }
  EXPECT_EQ(tracked::live(), 0);
  b->set(0);
  EXPECT_EQ(running.get(), 1);
}

// ---- what nobody wants any more

/// A result with a destructor that uses the pool.
struct nosy {
  int x = 0;
  static inline std::atomic<pool*> asks = nullptr;
  template <class Archive>
  void serialize(Archive& a) {
    a(x);
  }
  nosy() = default;
  explicit nosy(int v) : x(v) {}
  nosy(const nosy&) = default;
  nosy& operator=(const nosy&) = default;
  ~nosy() {
    if (pool* p = asks) static_cast<void>(p->to_string());
  }
};

TEST_P(result, a_value_that_nobody_took_may_use_the_pool_as_it_goes) {
  pool p(with(2));
  nosy::asks = &p;
  const auto make = [](int x) { return nosy(x); };
  for (int i = 0; i < 20; ++i) static_cast<void>(p.apply_async(make, i));
  static_cast<void>(p.map_async(make, first(50)));
  {
    auto stream = p.imap(make, first(20));
    EXPECT_EQ(stream.next()->x, 0);
  }
  EXPECT_EQ(p.apply(make, 7).x, 7);
  p.close();
  EXPECT_TRUE(p.join_for(ages));
  nosy::asks = nullptr;
}

}  // namespace
