// SPDX-License-Identifier: MIT
// The contract of what follows a result: then with one callback or two, and to_future.
#include <gtest/gtest.h>
#include <atomic>
#include <chrono>
#include <future>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>
#include "procpool/procpool.h"
#include "support/board.h"
#include "support/methods.h"
#include "support/tasks.h"

namespace {

using namespace procpool::testing;  // NOLINT(google-build-using-namespace)
using namespace std::chrono_literals;
using procpool::async_result;
using procpool::pool;

class then : public pool_test {};
class then_later : public pool_test {};  // of results that are not there yet
PROCPOOL_EVERY_METHOD(then);
PROCPOOL_PROCESS_METHODS(then_later);

int fail(int x) { throw std::domain_error("no " + std::to_string(x)); }

TEST_P(then, maps_the_value) {
  pool p(with());
  EXPECT_EQ(p.apply_async(square, 3).then([](int x) { return x + 1; }).get(), 10);
  EXPECT_EQ(p.apply_async(square, 3).then([](int x) { return std::to_string(x); }).get(), "9");
  int seen = 0;
  async_result<void> r = p.apply_async(square, 4).then([&](int x) { seen = x; });
  r.get();
  EXPECT_EQ(seen, 16);
  EXPECT_EQ(p.apply_async([] {}).then([] { return 1; }).get(), 1);
  EXPECT_EQ(p.apply_async([] { return std::make_unique<int>(4); })
                .then([](std::unique_ptr<int> u) { return *u; })
                .get(),
            4);
  auto only_moves = std::make_unique<int>(100);  // callbacks stay here and may hold anything
  EXPECT_EQ(
      p.apply_async(square, 2).then([u = std::move(only_moves)](int x) { return x + *u; }).get(),
      104);
}

TEST_P(then, chains) {
  pool p(with());
  auto inc = [](int x) { return x + 1; };
  auto r = p.apply_async(square, 3).then(inc).then(inc).then(inc);
  EXPECT_TRUE(r.valid());
  EXPECT_EQ(r.get(), 12);
}

TEST_P(then, uses_up_the_first_result) {
  pool p(with());
  auto a = p.apply_async(square, 3);
  auto b = a.then([](int x) { return x; });
  EXPECT_FALSE(a.valid());
  EXPECT_FALSE(b.cancel());  // a continuation is not cancelled
  EXPECT_EQ(b.get(), 9);
}

// Exactly one of the two, exactly once, before the waiter goes on.
TEST_P(then, calls_one_of_both_once) {
  pool p(with());
  for (int i = 0; i < 50; ++i) {
    std::atomic<int> values = 0;
    std::atomic<int> errors = 0;
    auto count_value = [&](const auto&...) { ++values; };
    auto count_error = [&](const std::exception_ptr& e) {
      EXPECT_THROW(std::rethrow_exception(e), std::domain_error);
      ++errors;
    };
    p.map_async(square, ints{1, 2, 3})
        .then(
            [&](const ints& v) {
              EXPECT_EQ(v, (ints{1, 4, 9}));
              ++values;
            },
            count_error)
        .get();
    EXPECT_EQ(values, 1);
    EXPECT_EQ(errors, 0);
    auto bad = p.map_async(fail, ints{1, 2, 3}).then(count_value, count_error);
    bad.wait();
    EXPECT_EQ(values, 1);
    EXPECT_EQ(errors, 1);
    // on_error returned void: the error stays the result's.
    EXPECT_THROW(bad.get(), std::domain_error);
    auto one = p.apply_async(fail, 1).then(count_value, count_error);
    EXPECT_THROW(one.get(), std::domain_error);
    EXPECT_EQ(errors, 2);
  }
}

TEST_P(then, an_error_passes_by) {
  pool p(with());
  bool called = false;
  auto r = p.apply_async(fail, 1).then([&](int x) {
    called = true;
    return x;
  });
  try {
    r.get();
    FAIL();
  } catch (const std::domain_error& e) {
    EXPECT_STREQ(e.what(), "no 1");
  }
  EXPECT_FALSE(called);
}

TEST_P(then, an_error_can_be_turned_into_a_value) {
  pool p(with());
  auto r = p.apply_async(fail, 1).then([](int x) { return x; },
                                       [](const std::exception_ptr&) { return -1; });
  r.wait();
  EXPECT_TRUE(r.successful());
  EXPECT_EQ(r.get(), -1);
}

struct strange {};  // derives from nothing

TEST_P(then, what_a_callback_throws_is_the_new_results_error) {
  board b;
  pool p(with());
  for (int i = 0; i < 3; ++i) {
    auto r = p.apply_async(square, 1).then([](int) -> int { throw std::range_error("callback"); });
    r.wait();
    EXPECT_FALSE(r.successful());
    EXPECT_THROW(r.get(), std::range_error);
    EXPECT_THROW(p.map_async(square, ints{1}).then([](const ints&) { throw strange(); }).get(),
                 strange);
    EXPECT_THROW(
        p.apply_async(fail, 1)
            .then([](int) {},
                  [](const std::exception_ptr&) { throw std::range_error("error callback"); })
            .get(),
        std::range_error);
    EXPECT_THROW(p.map_async(fail, ints{1})
                     .then([](const ints&) {},
                           [](const std::exception_ptr& e) { std::rethrow_exception(e); })
                     .get(),
                 std::domain_error);
    // The one behind it is called with that error, and the pool goes on.
    EXPECT_EQ(p.apply_async(square, 1)
                  .then([](int) -> int { throw strange(); })
                  .then([](int x) { return x; }, [](const std::exception_ptr&) { return 7; })
                  .get(),
              7);
    EXPECT_EQ(p.apply(square, 3), 9);
  }
  p.close();
  p.join();
}

TEST_P(then, added_to_a_finished_result_runs_too) {
  pool p(with());
  auto good = p.apply_async(square, 3);
  auto bad = p.apply_async(fail, 3);
  good.wait();
  bad.wait();
  EXPECT_EQ(good.then([](int x) { return x; }).get(), 9);
  EXPECT_EQ(bad.then([](int) { return 0; }, [](const std::exception_ptr&) { return 1; }).get(), 1);
  auto late = p.apply_async(square, 3);
  late.wait();
  EXPECT_THROW(late.then([](int) -> int { throw std::range_error("late"); }).get(),
               std::range_error);
  EXPECT_EQ(p.apply(square, 3), 9);
}

TEST_P(then, a_callback_may_submit) {
  pool p(with());
  auto r = p.apply_async(square, 2).then([&](int x) { return p.apply_async(square, x); });
  EXPECT_EQ(r.get().get(), 16);
}

TEST_P(then, the_callback_is_destroyed_after_it_ran) {
  pool p(with());
  auto guard = std::make_shared<int>(1);
  auto r = p.apply_async(square, 2).then([guard](int x) { return x + *guard; });
  EXPECT_EQ(r.get(), 5);
  EXPECT_TRUE(eventually([&] { return guard.use_count() == 1; }));
}

TEST_P(then, as_a_future) {
  pool p(with());
  std::future<int> good = p.apply_async(square, 3).to_future();
  std::future<int> converted = p.apply_async(square, 4);
  std::future<int> direct(p.apply_async(square, 5));
  EXPECT_EQ(converted.get() + direct.get(), 41);
  static_assert(std::is_convertible_v<async_result<int>, std::future<int>>);
  static_assert(!std::is_convertible_v<async_result<int>, std::future<long>>);
  static_assert(!std::is_convertible_v<async_result<int>&, std::future<int>>);
  EXPECT_EQ(good.get(), 9);
  std::future<int> bad = p.apply_async(fail, 3).to_future();
  EXPECT_THROW(bad.get(), std::domain_error);
  std::future<void> nothing = p.apply_async([] {}).to_future();
  nothing.get();
  std::future<std::string> last =
      p.apply_async(square, 3).then([](int x) { return std::to_string(x); }).to_future();
  EXPECT_EQ(last.get(), "9");
  std::future<ints> many = p.map_async(square, ints{1, 2}).to_future();
  EXPECT_EQ(many.get(), (ints{1, 4}));
  std::future<std::unique_ptr<int>> owner =
      p.apply_async([] { return std::make_unique<int>(3); }).to_future();
  EXPECT_EQ(*owner.get(), 3);
}

TEST_P(then, runs_also_when_the_pool_ends_first) {
  std::atomic<int> ran = 0;
  std::vector<async_result<void>> all;
  {
    pool p(with());
    for (int i = 0; i < 50; ++i) all.push_back(p.apply_async(square, i).then([&](int) { ++ran; }));
  }
  for (auto& each : all) each.get(ages);
  EXPECT_EQ(ran, 50);
}

struct counted : std::runtime_error {
  counted() : std::runtime_error("counted") { ++alive; }
  counted(const counted& other) : std::runtime_error(other) { ++alive; }
  ~counted() override { --alive; }
  static inline std::atomic<int> alive = 0;
};

// Whoever else still holds the result: here the callback that it came by, which is not gone yet.
TEST_P(then_later, an_error_ends_with_the_handler_that_caught_it) {
  std::promise<void> go_on;
  pool p(with());
  std::shared_ptr<void> late(nullptr, [&](void*) { go_on.get_future().wait(); });
  auto r = p.apply_async(square, 1).then([late = std::move(late)](int) -> int { throw counted(); });
  EXPECT_THROW(r.get(), counted);
  EXPECT_EQ(counted::alive, 0);
  go_on.set_value();
}

TEST_P(then_later, then_runs_on_the_pools_own_thread_once_it_is_there) {
  board b;
  pool p(with(1));
  std::thread::id ran;
  auto r = p.apply_async(waits(b), 3).then([&](int x) {
    ran = std::this_thread::get_id();
    return x;
  });
  EXPECT_FALSE(r.ready());
  EXPECT_THROW(r.get(1ms), procpool::timeout_error);
  b->set(0);
  EXPECT_EQ(r.get(), 3);
  EXPECT_NE(ran, std::thread::id());
  EXPECT_NE(ran, std::this_thread::get_id());
}

TEST_P(then_later, then_comes_for_a_cancelled_one_and_a_terminated_one) {
  board b;
  pool p(with(1));
  auto running = p.apply_async(waits(b), 1).then([](int x) { return x; });
  b->await(1);
  auto queued = p.apply_async(waits(b), 2);
  EXPECT_TRUE(queued.cancel());
  auto after = queued.then([](int) { return 0; },
                           [](const std::exception_ptr& e) {
                             EXPECT_THROW(std::rethrow_exception(e), procpool::task_cancelled);
                             return 1;
                           });
  EXPECT_EQ(after.get(ages), 1);
  p.terminate();
  EXPECT_THROW(running.get(ages), procpool::pool_terminated);
  p.join();
}

TEST_P(then_later, a_callback_must_not_wait) {
  board b;
  pool p(with(2));
  auto other = p.apply_async(waits(b), 1);
  auto r = p.apply_async(square, 2).then([&](int) { other.get(); });
  EXPECT_THROW(r.get(ages), std::logic_error);
  auto again = p.apply_async(square, 2).then([&](int x) { return p.apply(square, x); });
  EXPECT_THROW(again.get(ages), std::logic_error);
  b->set(0);
  EXPECT_EQ(other.get(), 1);
}

TEST_P(then_later, a_callback_may_terminate_the_pool) {
  board b;
  pool p(with(2));
  auto stuck = p.apply_async(waits(b), 1);
  auto r =
      p.apply_async(fail, 1).then([](int) {}, [&](const std::exception_ptr&) { p.terminate(); });
  EXPECT_THROW(r.get(ages), std::domain_error);
  EXPECT_THROW(stuck.get(ages), procpool::pool_terminated);
  p.join();
}

TEST_P(then_later, a_callback_may_destroy_the_pool) {
  const long threads = procpool::testing::thread_count();
  auto p = std::make_unique<pool>(with(2));
  auto r = p->apply_async(square, 3).then([&](int x) {
    p.reset();
    return x;
  });
  EXPECT_EQ(r.get(ages), 9);
  EXPECT_EQ(p, nullptr);
  // The workers go in the background, then the thread with all that is left.
  EXPECT_TRUE(eventually(no_child_is_left));
  EXPECT_TRUE(eventually([&] { return procpool::testing::thread_count() <= threads; }));
}

TEST_P(then_later, a_slow_callback_holds_up_no_task) {
  board b;
  pool p(with(1));
  auto slow = p.apply_async(square, 1).then([&](int x) {
    b->set(2);
    b->await(3);
    return x;
  });
  b->await(2);
  EXPECT_EQ(p.apply(square, 5), 25);
  EXPECT_EQ(p.map(square, ints{1, 2}), (ints{1, 4}));
  b->set(3);
  EXPECT_EQ(slow.get(ages), 1);
}

TEST_P(then_later, as_a_future_it_is_not_there_either) {
  board b;
  pool p(with(1));
  std::future<int> f = p.apply_async(waits(b), 4).to_future();
  EXPECT_EQ(f.wait_for(1ms), std::future_status::timeout);
  b->set(0);
  EXPECT_EQ(f.get(), 4);
}

TEST_P(then, a_continuation_may_be_added_after_the_pool_is_gone) {
  async_result<int> a;
  async_result<int> b;
  async_result<int> c;
  {
    pool p(with());
    a = p.apply_async(square, 3);
    b = p.apply_async(fail, 1);
    c = p.apply_async(square, 5);
  }
  EXPECT_EQ(a.then([](int x) { return x + 1; }).get(), 10);
  EXPECT_EQ(b.then([](int) { return 0; }, [](const std::exception_ptr&) { return 4; }).get(), 4);
  EXPECT_EQ(std::move(c).to_future().get(), 25);
}

}  // namespace
