// SPDX-License-Identifier: MIT
// An async_result as a std::future, for code that knows only those:
//
//     std::future<int> f = pool.apply_async(g, x);   // or .to_future()
//
// It is set on the pool's own thread; waiting for it does not drive the pool, so async_result is
// the quicker one to wait for.
#pragma once

#include <exception>
#include <future>
#include <memory>
#include <type_traits>
#include <utility>

#include "procpool/result.h"

namespace procpool {
namespace detail {

template <class T>
inline constexpr bool is_future_of<std::future<T>, T> = true;

/// Hands a result on to a std::promise.
template <class T>
class promise_setter final : public continuation {
 public:
  explicit promise_setter(std::shared_ptr<result_state<T>> from) : from_(std::move(from)) {}
  std::future<T> future() { return promise_.get_future(); }
  void run() noexcept override {
    std::exception_ptr error;
    try {
      if constexpr (std::is_void_v<T>) {
        from_->take();
        promise_.set_value();
      } else {
        promise_.set_value(from_->take());
      }
    } catch (...) {
      error = std::current_exception();
    }
    if (error) promise_.set_exception(std::move(error));
  }

 private:
  std::shared_ptr<result_state<T>> from_;
  std::promise<T> promise_;
};

}  // namespace detail

template <class T>
auto async_result<T>::to_future() && {
  state();
  detail::completion& when = state_->done();
  std::shared_ptr<detail::result_state<T>> keep = state_;
  auto next = std::make_unique<detail::promise_setter<T>>(std::move(state_));
  std::future<T> made = next->future();
  auto e = std::move(engine_);
  e->then(when, std::move(next));
  return made;
}

}  // namespace procpool
