// SPDX-License-Identifier: MIT
// co_await pool.apply_async(f, x): an async_result in a coroutine of any library.
//
// The coroutine goes on on the pool's own thread, like a callback of then(), and must not wait for
// results there but by co_await; a result that is ready does not suspend it (so in an in_process
// pool it never leaves its thread). It goes on whatever becomes of the pool, whose destructor waits
// for it to have gone on. What its promise lets out of resume() is dropped: nobody called.
//
// A coroutine that is destroyed while it is suspended here is not resumed, and its result is
// dropped. As with every coroutine, that must not happen while another thread resumes it: destroy
// it on the pool's own thread, or before the result can be ready.
#pragma once

#include <atomic>
#include <coroutine>
#include <memory>
#include <utility>

#include "procpool/result.h"

namespace procpool {
namespace detail {

/// Passed by who comes first: the result, or the end of the coroutine that waits for it.
using resumption_gate = std::atomic<bool>;

class resumption final : public continuation {
 public:
  resumption(std::coroutine_handle<> h, std::shared_ptr<resumption_gate> g)
      : handle_(h), gate_(std::move(g)) {}
  void run() noexcept override {
    if (gate_->exchange(true, std::memory_order_acq_rel)) return;
    try {
      handle_.resume();
    } catch (...) {  // NOLINT(bugprone-empty-catch): see above
    }
  }

 private:
  std::coroutine_handle<> handle_;
  std::shared_ptr<resumption_gate> gate_;
};

template <class T>
class [[nodiscard]] result_awaiter {
 public:
  explicit result_awaiter(async_result<T> r) : result_(std::move(r)) {}
  result_awaiter(const result_awaiter&) = delete;
  result_awaiter& operator=(const result_awaiter&) = delete;
  ~result_awaiter() {
    if (gate_) gate_->store(true, std::memory_order_release);
  }

  [[nodiscard]] bool await_ready() const { return result_.ready(); }
  // Never inlined: it may be resumed, and this object with it destroyed, before this returns, so
  // nothing of it may lie in the coroutine's frame.
  [[gnu::noinline]] void await_suspend(std::coroutine_handle<> h) {
    gate_ = std::make_shared<resumption_gate>(false);
    auto pool = access::engine(result_);
    auto state = access::state(result_);
    pool->then(state->done(), std::make_unique<resumption>(h, gate_));
  }
  T await_resume() { return result_.get(); }

 private:
  async_result<T> result_;
  std::shared_ptr<resumption_gate> gate_;
};

}  // namespace detail

template <class T>
auto operator co_await(async_result<T>&& r) {
  return detail::result_awaiter<T>(std::move(r));
}

}  // namespace procpool
