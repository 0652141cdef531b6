// SPDX-License-Identifier: MIT
// The engine over workers made by hand (fake_backend.h), and a call whose items tell what became of
// them. No process is started.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "core/engine.h"
#include "fake_backend.h"
#include "process_census.h"
#include "procpool/error.h"

namespace procpool::core {

using namespace std::chrono_literals;
using procpool::testing::eventually;

inline constexpr detail::entry_point entry{detail::entry_point::magic_value, 1, nullptr, "test"};

/// n items of four bytes; `before(i)` is called before item i is read.
struct items : detail::source {
  explicit items(std::size_t n) : left(n) {}
  void head(detail::writer&) override {}
  std::size_t encode(detail::writer& out, std::size_t most) override {
    std::size_t n = 0;
    for (; n < most && left != 0; ++n, --left, ++next) {
      if (before) before(next);
      out.raw(&next, sizeof next);
    }
    return n;
  }
  std::size_t expected() const override { return known ? left : unknown; }

  std::size_t left;
  std::uint32_t next = 0;
  bool known = true;
  std::function<void(std::uint32_t)> before;
};

/// Notes what became of each item: "done by <pid>", or what its error is.
class recorder final : public detail::batch {
 public:
  void extend(std::size_t total) override {
    std::lock_guard hold(mutex_);
    if (total > all_.size()) all_.resize(total);
  }
  std::size_t deliver(const detail::reply& r) noexcept override {
    if (gate) gate();
    std::lock_guard hold(mutex_);
    std::size_t failed = 0;
    for (std::byte b : r.bytes) touched_ += static_cast<unsigned>(b);
    for (std::size_t i = r.first; i < r.first + r.done; ++i) {
      note(i, i == bad_item ? "bad" : "done by " + std::to_string(r.pid));
      if (i == bad_item) ++failed;
    }
    return failed;
  }
  std::size_t deliver_each(std::span<const std::shared_ptr<detail::batch>> calls,
                           const detail::reply& r) noexcept override {
    detail::reply only = r;
    only.first = only.from = 0;
    only.count = only.done = 1;
    std::size_t failed = 0;
    for (const auto& call : calls) failed += call->deliver(only);
    return failed;
  }
  void fail(std::size_t first, std::size_t count,
            const std::exception_ptr& error) noexcept override {
    EXPECT_NE(count, 0u) << "of none of its items: it may be writing one at this moment";
    std::string what;
    try {
      std::rethrow_exception(error);
    } catch (const worker_died& died) {
      what = "died at " + std::to_string(died.index()) + " of " + std::to_string(died.signal());
    } catch (const task_cancelled&) {
      what = "cancelled";
    } catch (const task_timeout& e) {
      what = e.kind() == task_timeout::kind_type::timeout ? "timed out" : "too late";
    } catch (const pool_terminated&) {
      what = "terminated";
    } catch (const initializer_failed&) {
      what = "initializer failed";
    } catch (const pool_broken&) {
      what = "broken";
    } catch (const std::bad_alloc&) {
      what = "no memory";
    } catch (...) {
      what = "something else";
    }
    std::lock_guard hold(mutex_);
    for (std::size_t i = first; i < first + count; ++i) note(i, what);
  }

  std::vector<std::string> all() const {
    std::lock_guard hold(mutex_);
    return all_;
  }
  std::size_t count(const std::string& what) const {
    auto items = all();
    return static_cast<std::size_t>(std::count(items.begin(), items.end(), what));
  }

  std::size_t bad_item = static_cast<std::size_t>(-1);
  std::function<void()> gate;

 private:
  void note(std::size_t i, const std::string& what) {
    if (i >= all_.size()) all_.resize(i + 1);
    all_[i] = all_[i].empty() ? what : all_[i] + " AND " + what;
  }
  mutable std::mutex mutex_;
  std::vector<std::string> all_;
  unsigned touched_ = 0;
};

/// Whoever delivers to that call stays in the middle of it, until let_go().
class slow_reading {
 public:
  explicit slow_reading(recorder& call) {
    call.gate = [this] {
      begun_ = true;
      while (!over_) std::this_thread::yield();
    };
  }
  [[nodiscard]] bool begins() const {
    return eventually([this] { return begun_.load(); });
  }
  void let_go() { over_ = true; }

 private:
  std::atomic<bool> begun_{false};
  std::atomic<bool> over_{false};
};

using lines = std::vector<std::string>;

inline lines repeated(std::size_t n, const std::string& what) { return lines(n, what); }

class engine_test : public ::testing::Test {
 protected:
  static constexpr const char* by_0 = "done by 1000";
  static constexpr const char* by_1 = "done by 1001";

  void make(std::uint32_t workers, std::uint32_t up) {
    auto made = std::make_unique<fake_backend>(workers);
    fake = made.get();
    engine_options options = asked;
    options.processes = static_cast<int>(workers);
    options.own_process = [] { return true; };
    pool = std::make_shared<engine>(std::move(made), std::move(options));
    pool->start();
    for (worker_id w = 0; w < up; ++w) fake->up(w);
    settle();
  }
  void TearDown() override {
    if (!pool) return;
    pool->shut_down(true);
    std::weak_ptr<engine> gone = pool;
    fake = nullptr;
    pool.reset();
    EXPECT_TRUE(gone.expired());
  }
  void settle() {
    ASSERT_TRUE(eventually([this] { return fake->quiet(); }));
  }

  std::shared_ptr<recorder> submit(std::size_t n, std::size_t chunk, bool fail_fast = false) {
    auto call = std::make_shared<recorder>();
    submit(call, n, chunk, fail_fast);
    return call;
  }
  void submit(const std::shared_ptr<recorder>& call, std::size_t n, std::size_t chunk,
              bool fail_fast = false, const task_options* limits = nullptr) {
    items input(n);
    detail::call_options options;
    options.chunksize = chunk;
    options.fail_fast = fail_fast;
    options.limits = limits;
    if (limits != nullptr && limits->deadline.count() != 0)
      options.until = clock::now() + limits->deadline;
    EXPECT_EQ(pool->submit(call, entry, input, options), n);
  }
  /// Two calls that run, one in each of two workers.
  void two_calls(std::shared_ptr<recorder>& first, std::shared_ptr<recorder>& second) {
    make(2, 0);
    first = submit(1, 1);
    second = submit(1, 1);
    for (worker_id w : {0u, 1u}) {
      fake->up(w);
      ASSERT_TRUE(eventually([&] { return fake->held(w) != 0; }));
      ASSERT_EQ(fake->claim(w, 1), 1u);
    }
  }
  bool wait(detail::completion& what, std::chrono::milliseconds bound = 10s) {
    return pool->wait(what, clock::now() + bound);
  }
  /// Worker w answers everything it is sent until the call is ready.
  void work_off(const recorder& call, std::initializer_list<worker_id> workers) {
    ASSERT_TRUE(eventually([&] {
      for (worker_id w : workers)
        if (fake->held(w) != 0) fake->finish(w);
      return call.ready();
    }));
  }

  // Set before make().
  engine_options asked;  // but for what make() says itself

  fake_backend* fake = nullptr;
  std::shared_ptr<engine> pool;
};

}  // namespace procpool::core
