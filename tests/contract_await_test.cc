// SPDX-License-Identifier: MIT
// The contract of co_await on a result.
#include <gtest/gtest.h>

#include <coroutine>
#include <exception>
#include <future>
#include <memory>
#include <optional>
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

class await : public pool_test {};
class await_pending : public pool_test {};
PROCPOOL_EVERY_METHOD(await);
PROCPOOL_PROCESS_METHODS(await_pending);

int fail(int x) { throw std::domain_error("no " + std::to_string(x)); }

/// The least coroutine: begins at once, and its end is a std::future's.
template <class T>
struct started {
  struct promise_type {
    std::promise<T> promise;
    started get_return_object() { return {promise.get_future()}; }
    std::suspend_never initial_suspend() noexcept { return {}; }
    std::suspend_never final_suspend() noexcept { return {}; }
    void return_value(T v) { promise.set_value(std::move(v)); }
    void unhandled_exception() { promise.set_exception(std::current_exception()); }
  };
  std::future<T> result;
};

/// Owned by its handle.
struct owned {
  struct promise_type {
    owned get_return_object() { return {std::coroutine_handle<promise_type>::from_promise(*this)}; }
    std::suspend_never initial_suspend() noexcept { return {}; }
    std::suspend_always final_suspend() noexcept { return {}; }
    void return_void() {}
    void unhandled_exception() { throw; }
  };
  std::coroutine_handle<promise_type> handle;
};

started<int> sum_of_squares(pool& p, int n) {
  int sum = 0;
  for (int i = 0; i < n; ++i) sum += co_await p.apply_async(square, i);
  co_return sum;
}

TEST_P(await, gives_the_value) {
  pool p(with());
  EXPECT_EQ(sum_of_squares(p, 5).result.get(), 30);
}

started<std::string> every_kind(pool& p) {
  std::string all;
  all += co_await p.apply_async([] { return std::string("string "); });
  co_await p.apply_async([] {});
  const std::unique_ptr<int> owner =
      co_await p.apply_async([] { return std::make_unique<int>(7); });
  all += std::to_string(*owner);
  const ints two{1, 2};
  const ints mapped = co_await p.map_async(square, two);
  all += " " + std::to_string(mapped.back());
  all += co_await p.apply_async(square, 3).then([](int x) { return " " + std::to_string(x); });
  auto named = p.apply_async(square, 4);
  all += " " + std::to_string(co_await std::move(named));
  EXPECT_FALSE(named.valid());  // NOLINT(bugprone-use-after-move): that is the test
  co_return all;
}

TEST_P(await, takes_every_kind_of_result) {
  pool p(with());
  EXPECT_EQ(every_kind(p).result.get(), "string 7 4 9 16");
}

started<int> recovers(pool& p) {
  int caught = 0;
  try {
    co_await p.apply_async(fail, 1);
  } catch (const std::domain_error& e) {
    caught += std::string(e.what()) == "no 1" ? 1 : 0;
  }
  co_return caught + co_await p.apply_async(fail, 2);
}

TEST_P(await, throws_the_error) {
  pool p(with());
  EXPECT_THROW(recovers(p).result.get(), std::domain_error);
}

started<std::vector<std::thread::id>> threads_of(async_result<int> r) {
  std::vector<std::thread::id> seen{std::this_thread::get_id()};
  co_await std::move(r);
  seen.push_back(std::this_thread::get_id());
  co_return seen;
}

TEST_P(await, a_ready_result_does_not_suspend) {
  pool p(with());
  auto r = p.apply_async(square, 3);
  r.wait();
  const auto seen = threads_of(std::move(r)).result.get();
  EXPECT_EQ(seen[0], std::this_thread::get_id());
  EXPECT_EQ(seen[1], std::this_thread::get_id());
}

TEST_P(await, a_result_that_is_none_throws) {
  const auto co = []() -> started<int> { co_return co_await async_result<int>(); };
  EXPECT_THROW(co().result.get(), std::logic_error);
}

TEST_P(await, results_of_a_pool_that_is_gone) {
  async_result<int> r;
  {
    pool p(with());
    r = p.apply_async(square, 3);
  }
  EXPECT_EQ(threads_of(std::move(r)).result.get()[1], std::this_thread::get_id());
}

TEST_P(await_pending, goes_on_on_the_pools_own_thread) {
  board b;
  pool p(with(1));
  auto co = threads_of(p.apply_async(waits(b), 3));
  EXPECT_EQ(co.result.wait_for(1ms), std::future_status::timeout);
  b->set(0);
  const auto seen = co.result.get();
  EXPECT_NE(seen[1], std::this_thread::get_id());
}

started<int> inside_a_callback(pool& p, const board& b) {
  // The second await begins on the pool's own thread.
  const int x = co_await p.apply_async(waits(b), 3);
  const int y = co_await p.apply_async(square, x);
  std::string refused;
  try {
    p.apply(square, y);
  } catch (const std::logic_error& e) {
    refused = e.what();
  }
  EXPECT_NE(refused.find("a callback must not wait"), std::string::npos);
  co_return co_await p.apply_async(square, y);
}

TEST_P(await_pending, again_and_again) {
  board b;
  pool p(with(1));
  auto co = inside_a_callback(p, b);
  b->set(0);
  EXPECT_EQ(co.result.get(), 81);
  std::vector<started<int>> many;
  for (int i = 0; i < 50; ++i) many.push_back(sum_of_squares(p, 10));
  for (auto& each : many) EXPECT_EQ(each.result.get(), 285);
}

TEST_P(await_pending, ends_before_the_pool_does) {
  board b;
  started<int> co;
  {
    pool p(with(1));
    co = sum_of_squares(p, 1);
    auto r = p.apply_async(waits(b), 5);
    const auto last = [](async_result<int> of) -> started<int> {
      co_return co_await std::move(of);
    };
    co = last(std::move(r));
    b->set(0);
  }
  EXPECT_EQ(co.result.wait_for(0s), std::future_status::ready);
  EXPECT_EQ(co.result.get(), 5);
}

TEST_P(await_pending, a_terminated_pool_resumes_with_its_error) {
  board b;
  pool p(with(1));
  const auto run = [](async_result<int> r) -> started<int> { co_return co_await std::move(r); };
  auto co = run(p.apply_async(waits(b), 5));
  p.terminate();
  EXPECT_THROW(co.result.get(), procpool::pool_terminated);
}

struct at_end {
  marks m;
  ~at_end() { m.add(5); }
};
owned resumes_into(async_result<tracked> r, marks m) {
  const at_end end{m};
  co_await std::move(r);
  m.add(6);
}

TEST_P(await_pending, a_destroyed_coroutine_is_not_resumed) {
  board b;
  {
    pool p(with(1));
    auto co = resumes_into(p.apply_async([m = b.here()] {
      m.await(0);
      return tracked(1);
    }),
                           b.here());
    EXPECT_FALSE(co.handle.done());
    co.handle.destroy();
    EXPECT_EQ(b->at(5), 1);
    b->set(0);
    EXPECT_EQ(p.apply(square, 3), 9);
  }
  EXPECT_EQ(b->at(6), 0);
  EXPECT_EQ(tracked::live(), 0);  // the result is dropped
}

owned throws_at_its_end(async_result<int> r) {
  co_await std::move(r);
  throw std::domain_error("nobody called");
}

TEST_P(await_pending, what_leaves_resume_is_dropped) {
  board b;
  owned co{};
  {
    pool p(with(1));
    co = throws_at_its_end(p.apply_async(waits(b), 1));
    b->set(0);
    EXPECT_EQ(p.apply(square, 3), 9);
  }
  EXPECT_TRUE(co.handle.done());
  co.handle.destroy();
}

TEST_P(await_pending, many_come_and_go) {
  pool p(with(2));
  std::vector<std::future<int>> threads;
  for (int t = 0; t < 4; ++t) {
    threads.push_back(std::async(std::launch::async, [&] {
      int sum = 0;
      for (int i = 0; i < 100; ++i) sum += sum_of_squares(p, 3).result.get();
      return sum;
    }));
  }
  for (auto& t : threads) EXPECT_EQ(t.get(), 500);
}

}  // namespace
