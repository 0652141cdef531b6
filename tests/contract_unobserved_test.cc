// SPDX-License-Identifier: MIT
// The contract of pool_options::on_unobserved_error: which errors it is told of, once each, and
// where.
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <exception>
#include <future>
#include <mutex>
#include <optional>
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
using procpool::start_method;

/// What the hook was told, and where.
class reports {
 public:
  void note(const std::exception_ptr& error) {
    std::string what;
    try {
      std::rethrow_exception(error);
    } catch (const std::exception& e) {
      what = e.what();
    }
    std::lock_guard hold(mutex_);
    all_.push_back(what);
    threads_.push_back(std::this_thread::get_id());
  }
  std::vector<std::string> all() const { return std::lock_guard(mutex_), all_; }
  std::vector<std::thread::id> threads() const { return std::lock_guard(mutex_), threads_; }

 private:
  mutable std::mutex mutex_;
  std::vector<std::string> all_;
  std::vector<std::thread::id> threads_;
};

class unobserved : public pool_test {
 protected:
  procpool::pool_options told(int processes = 2) {
    auto o = with(processes);
    o.on_unobserved_error = [this](const std::exception_ptr& e) { seen.note(e); };
    return o;
  }
  /// All that comes to be reported until the pool has ended.
  std::vector<std::string> after(std::optional<pool>& p) {
    p.reset();
    return seen.all();
  }
  reports seen;
};
class unobserved_later : public unobserved {};  // of results that are not there yet
PROCPOOL_EVERY_METHOD(unobserved);
PROCPOOL_PROCESS_METHODS(unobserved_later);

using lines = std::vector<std::string>;

int fail(int x) { throw std::domain_error("no " + std::to_string(x)); }

TEST_P(unobserved, an_error_that_is_dropped_is_reported_once) {
  std::optional<pool> p(told());
  {
    auto dropped = p->apply_async(fail, 1);
    dropped.wait();
    EXPECT_FALSE(dropped.successful());
    auto moved = std::move(dropped);
  }
  EXPECT_EQ(after(p), lines{"no 1"});
}

TEST_P(unobserved, what_is_assigned_over_is_dropped) {
  std::optional<pool> p(told());
  {
    auto r = p->apply_async(fail, 1);
    r = p->apply_async(square, 2);
    auto& same = r;
    r = std::move(same);
    EXPECT_EQ(r.get(), 4);
    r = async_result<int>();
  }
  EXPECT_EQ(after(p), lines{"no 1"});
}

TEST_P(unobserved, what_was_got_is_not_reported) {
  std::optional<pool> p(told());
  EXPECT_THROW(p->apply(fail, 1), std::domain_error);
  EXPECT_THROW(p->apply_async(fail, 1).get(), std::domain_error);
  EXPECT_THROW(p->map(fail, first(3)), std::domain_error);
  EXPECT_EQ(p->try_map(fail, first(3)).size(), 3u);
  {
    auto stream = p->imap(fail, first(3));
    EXPECT_THROW(stream.next(), std::domain_error);
  }
  EXPECT_EQ(after(p), lines{});
}

TEST_P(unobserved, a_value_that_is_dropped_is_no_error) {
  std::optional<pool> p(told());
  static_cast<void>(p->apply_async(square, 1));
  static_cast<void>(p->map_async(square, first(10)));
  static_cast<void>(p->apply_async(square, 1).then(square));
  EXPECT_EQ(after(p), lines{});
}

TEST_P(unobserved, of_a_map_it_is_what_get_would_throw) {
  std::optional<pool> p(told());
  static_cast<void>(p->map_async([](int x) { return x > 2 ? fail(x) : x; }, first(10)));
  EXPECT_EQ(after(p), lines{"no 3"});
}

TEST_P(unobserved, then_passes_an_error_on_to_its_own_result) {
  std::optional<pool> p(told());
  EXPECT_THROW(p->apply_async(fail, 1).then(square).get(), std::domain_error);
  static_cast<void>(p->apply_async(fail, 2).then(square).then(square));
  EXPECT_EQ(after(p), lines{"no 2"});
}

TEST_P(unobserved, what_a_callback_throws_is_its_results_error) {
  std::optional<pool> p(told());
  static_cast<void>(p->apply_async(square, 2).then(fail));
  EXPECT_EQ(after(p), lines{"no 4"});
}

TEST_P(unobserved, an_error_callback_is_given_the_error) {
  std::optional<pool> p(told());
  int given = 0;
  static_cast<void>(p->apply_async(fail, 1).then([](int) {}, [&](std::exception_ptr) { ++given; }));
  static_cast<void>(p->apply_async(fail, 1).then([](int x) { return x; },
                                                 [&](std::exception_ptr) { return ++given; }));
  EXPECT_EQ(after(p), lines{});
  EXPECT_EQ(given, 2);
}

TEST_P(unobserved, an_error_callback_that_throws_makes_a_new_error) {
  std::optional<pool> p(told());
  static_cast<void>(p->apply_async(fail, 1).then(
      [](int) {}, [](std::exception_ptr) { throw std::runtime_error("from on_error"); }));
  EXPECT_EQ(after(p), lines{"from on_error"});
}

TEST_P(unobserved, a_futures_error_is_the_futures) {
  std::optional<pool> p(told());
  {
    std::future<int> f = p->apply_async(fail, 1).to_future();
    f.wait();
  }
  EXPECT_EQ(after(p), lines{});
}

TEST_P(unobserved, a_tasks_own_task_cancelled_is_an_error_like_others) {
  std::optional<pool> p(told());
  static_cast<void>(p->apply_async([]() { throw procpool::task_cancelled("the task's own"); }));
  EXPECT_EQ(after(p), lines{"the task's own"});
}

TEST_P(unobserved, what_the_hook_throws_is_dropped) {
  auto o = with();
  int calls = 0;
  o.on_unobserved_error = [&](const std::exception_ptr& e) {
    ++calls;
    std::rethrow_exception(e);
  };
  {
    pool p(o);
    static_cast<void>(p.apply_async(fail, 1));
    static_cast<void>(p.apply_async(fail, 2));
    EXPECT_EQ(p.apply(square, 3), 9);
  }
  EXPECT_EQ(calls, 2);
}

TEST_P(unobserved, without_a_hook_nothing_happens) {
  pool p(with());
  static_cast<void>(p.apply_async(fail, 1));
  EXPECT_EQ(p.apply(square, 3), 9);
}

TEST_P(unobserved, a_result_that_outlives_its_pool_is_not_reported) {
  async_result<int> r;
  {
    pool p(told());
    r = p.apply_async(fail, 1);
  }
  r = {};
  EXPECT_EQ(seen.all(), lines{});
}

TEST_P(unobserved, the_hook_may_use_the_pool) {
  auto o = with();
  pool* at = nullptr;
  std::promise<async_result<int>> next;
  o.on_unobserved_error = [&](const std::exception_ptr&) {
    EXPECT_EQ(at->stats().failed, 1u);
    next.set_value(at->apply_async(square, 5));
  };
  pool p(o);
  at = &p;
  static_cast<void>(p.apply_async(fail, 1));
  auto submitted = next.get_future();
  ASSERT_EQ(submitted.wait_for(ages), std::future_status::ready);
  EXPECT_EQ(submitted.get().get(), 25);
}

TEST(unobserved_here, runs_where_the_result_is_dropped) {
  reports seen;
  pool p({.start_method = start_method::in_process,
          .on_unobserved_error = [&](const std::exception_ptr& e) { seen.note(e); }});
  static_cast<void>(p.apply_async(fail, 1));
  EXPECT_EQ(seen.threads(), std::vector{std::this_thread::get_id()});
}

TEST_P(unobserved_later, a_result_that_was_dropped_before_it_was_there) {
  board b;
  std::optional<pool> p(told());
  static_cast<void>(p->apply_async([m = b.here()] {
    m.await(0);
    throw std::domain_error("late");
  }));
  EXPECT_EQ(p->apply(square, 2), 4);
  EXPECT_EQ(seen.all(), lines{});
  b->set(0);
  EXPECT_TRUE(eventually([&] { return seen.all() == lines{"late"}; }, 20s));
  EXPECT_EQ(after(p), lines{"late"});
}

TEST_P(unobserved_later, it_runs_on_the_pools_own_thread) {
  std::optional<pool> p(told());
  std::thread::id own;
  p->apply_async(square, 1).then([&](int) { own = std::this_thread::get_id(); }).get();
  static_cast<void>(p->apply_async(fail, 1));
  p.reset();
  EXPECT_EQ(seen.threads(), std::vector{own});
}

TEST_P(unobserved_later, the_hook_must_not_wait) {
  auto o = with(1);
  pool* at = nullptr;
  std::promise<bool> refused;
  o.on_unobserved_error = [&](const std::exception_ptr&) {
    try {
      at->apply(square, 1);
      refused.set_value(false);
    } catch (const std::logic_error&) {
      refused.set_value(true);
    }
  };
  pool p(o);
  at = &p;
  static_cast<void>(p.apply_async(fail, 1));
  auto said = refused.get_future();
  ASSERT_EQ(said.wait_for(ages), std::future_status::ready);
  EXPECT_TRUE(said.get());
}

TEST_P(unobserved_later, a_death_is_reported) {
  std::optional<pool> p(told());
  static_cast<void>(p->apply_async([] { ::raise(SIGKILL); }));
  const lines all = after(p);
  ASSERT_EQ(all.size(), 1u);
  EXPECT_NE(all[0].find("SIGKILL"), std::string::npos) << all[0];
}

TEST_P(unobserved_later, what_the_caller_has_ended_is_not_reported) {
  board b;
  std::optional<pool> p(told(1));
  {
    auto r = p->apply_async(waits(b), 1);
    b->await(1);
    EXPECT_TRUE(r.cancel());
  }
  static_cast<void>(p->apply_async(for_ever));
  static_cast<void>(p->apply_async(for_ever).then([] {}));
  p->terminate();
  EXPECT_EQ(after(p), lines{});
}

TEST_P(unobserved_later, a_copy_of_the_process_reports_nothing) {
  std::optional<pool> p(told());
  auto r = p->apply_async(fail, 1);
  r.wait();
  EXPECT_TRUE(in_a_child([&] {
    r = {};
    return seen.all().empty();
  }));
  EXPECT_THROW(r.get(), std::domain_error);
  EXPECT_EQ(after(p), lines{});
}

// Dropped by several threads, just before and just after they are there.
TEST_P(unobserved_later, each_is_reported_once_whoever_comes_first) {
  constexpr int threads = 3;
  constexpr int each = 200;
  std::optional<pool> p(told());
  std::vector<std::thread> users;
  for (int user = 0; user < threads; ++user) {
    users.emplace_back([&, user] {
      for (int i = 0; i < each; ++i) {
        auto r = p->apply_async(fail, user * each + i);
        for (int spin = 0; spin < i % 7; ++spin) std::this_thread::yield();
      }
    });
  }
  for (auto& u : users) u.join();
  lines expected;
  for (int i = 0; i < threads * each; ++i) expected.push_back("no " + std::to_string(i));
  EXPECT_EQ(sorted(after(p)), sorted(expected));
}

}  // namespace
