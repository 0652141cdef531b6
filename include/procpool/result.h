// SPDX-License-Identifier: MIT
// What comes back: a value or an error (outcome), one result that is not there yet (async_result),
// many as they come (result_stream).
//
// One async_result or result_stream belongs to one thread at a time; it may outlive its pool.
#pragma once

#include <chrono>
#include <cstddef>
#include <exception>
#include <iosfwd>
#include <iterator>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>

#include "procpool/detail/engine.h"
#include "procpool/error.h"

namespace procpool {

template <class T>
class async_result;
template <class R>
class result_stream;

/// The value f returned, or the exception it threw. Copyable when the value is.
template <class T>
class outcome {
 public:
  outcome(T value) : state_(std::in_place_index<1>, std::move(value)) {}  // NOLINT: is a value
  outcome(std::exception_ptr error)  // NOLINT(google-explicit-constructor): or is an error
      : state_(std::in_place_index<0>, std::move(error)) {}

  explicit operator bool() const noexcept { return state_.index() == 1; }
  /// The value; undefined when there is none.
  T& operator*() & noexcept { return *std::get_if<1>(&state_); }
  const T& operator*() const& noexcept { return *std::get_if<1>(&state_); }
  T&& operator*() && noexcept { return std::move(*std::get_if<1>(&state_)); }
  T* operator->() noexcept { return std::get_if<1>(&state_); }
  const T* operator->() const noexcept { return std::get_if<1>(&state_); }
  /// The value; throws the error when there is none. An rvalue hands the exception over, too: it
  /// ends with whoever caught it.
  T& value() & { return check(), **this; }
  const T& value() const& { return check(), **this; }
  T&& value() && {
    if (auto* e = std::get_if<0>(&state_)) std::rethrow_exception(std::exchange(*e, nullptr));
    return *std::move(*this);
  }
  /// Null when there is a value.
  [[nodiscard]] std::exception_ptr error() const noexcept {
    const auto* e = std::get_if<0>(&state_);
    return e != nullptr ? *e : nullptr;
  }

 private:
  void check() const {
    if (const auto* e = std::get_if<0>(&state_)) std::rethrow_exception(*e);
  }
  std::variant<std::exception_ptr, T> state_;
};

template <>
class outcome<void> {
 public:
  outcome() = default;
  outcome(std::exception_ptr error)  // NOLINT(google-explicit-constructor)
      : error_(std::move(error)) {}
  explicit operator bool() const noexcept { return error_ == nullptr; }
  void operator*() const noexcept {}
  void value() const& {
    if (error_) std::rethrow_exception(error_);
  }
  void value() && {
    if (error_) std::rethrow_exception(std::move(error_));
  }
  [[nodiscard]] std::exception_ptr error() const noexcept { return error_; }

 private:
  std::exception_ptr error_;
};

namespace detail {

/// What an async_result waits for: a batch, or what a continuation makes of one.
template <class T>
class result_state : public any_result {
 public:
  /// Only when done().ready(), once; throws the error, which is then the caller's alone.
  virtual T take() = 0;
};

template <class Rep, class Period>
engine::clock::time_point deadline_after(std::chrono::duration<Rep, Period> d) {
  auto now = engine::clock::now();
  // In floating point, where nothing overflows: hours::max() is a fair way to say "for ever".
  using seconds = std::chrono::duration<double>;
  if (seconds(d) >= seconds(engine::never - now)) return engine::never;
  return now + std::chrono::ceil<engine::clock::duration>(d);
}
template <class Clock, class Duration>
engine::clock::time_point deadline_after(std::chrono::time_point<Clock, Duration> t) {
  return deadline_after(t - Clock::now());
}

/// When a call's deadline ends, if it has one.
template <class Options>
engine::clock::time_point call_end(const Options& options) {
  return options.deadline.count() == 0 ? engine::never : deadline_after(options.deadline);
}

/// What a dropped result leaves behind: looks at it when it is there.
template <class T>
class last_look final : public continuation {
 public:
  last_look(std::shared_ptr<engine> e, std::shared_ptr<result_state<T>> of)
      : engine_(std::move(e)), of_(std::move(of)) {}
  void run() noexcept override {
    if (!of_->unobserved()) return;
    try {
      static_cast<void>(of_->take());
    } catch (...) {
      engine_->unobserved(std::current_exception());
    }
  }

 private:
  std::shared_ptr<engine> engine_;
  std::shared_ptr<result_state<T>> of_;
};

/// A std::future of Ts; see future.h.
template <class Future, class T>
inline constexpr bool is_future_of = false;

template <class U>
class derived_state;
template <class T, class U, class OnValue, class OnError>
class link_to;

}  // namespace detail

/// A result that is not there yet. Move-only, with one get(), as std::future; dropping it neither
/// waits nor cancels (pool_options::on_unobserved_error is told of its error, if that is set).
template <class T>
class [[nodiscard]] async_result {
 public:
  async_result() = default;  ///< not valid()
  async_result(async_result&&) noexcept = default;
  async_result& operator=(async_result&& other) noexcept {
    async_result next(std::move(other));
    engine_.swap(next.engine_);
    state_.swap(next.state_);
    std::swap(cancelled_, next.cancelled_);
    return *this;
  }
  ~async_result() {
    if (state_ && engine_->reports_unobserved()) drop();
  }

  /// Waits, then returns the value or throws what the task threw (see error.h). Once.
  T get() {
    engine_of().wait(state().done(), detail::engine::never);
    return take();
  }
  /// The same; throws timeout_error when the result is not there after d, and may be called again.
  template <class Rep, class Period>
  T get(std::chrono::duration<Rep, Period> d) {
    if (!wait_for(d)) throw timeout_error();
    return take();
  }
  void wait() const { engine_of().wait(state().done(), detail::engine::never); }
  /// True: ready. Zero or less: looks without waiting.
  template <class Rep, class Period>
  bool wait_for(std::chrono::duration<Rep, Period> d) const {
    return engine_of().wait(state().done(), detail::deadline_after(d));
  }
  template <class Clock, class Duration>
  bool wait_until(std::chrono::time_point<Clock, Duration> t) const {
    return wait_for(t - Clock::now());
  }
  /// get() would not wait.
  [[nodiscard]] bool ready() const { return state().done().ready(); }
  /// It ended without an error; std::logic_error when it has not ended.
  [[nodiscard]] bool successful() const {
    if (!ready()) throw std::logic_error("procpool: successful() before the result is ready");
    return !state().failed();
  }
  /// Something of it has started, and it has not ended. Costs a lock; by the time you know it may
  /// be otherwise.
  [[nodiscard]] bool running() const {
    detail::batch* b = state().running();
    return b != nullptr && !ready() && engine_of().started(*b);
  }
  /// get() was not called yet, and there is something to get.
  [[nodiscard]] bool valid() const noexcept { return state_ != nullptr; }

  /// True: get() will throw task_cancelled (a map that has met a failure before throws that). What
  /// had not started never will; what runs is stopped (stop_steps), and the result is there when
  /// that has ended. Does not wait for it. True again when it was cancelled before. False: it has
  /// ended, and nothing changes; or it is a continuation.
  bool cancel() {
    detail::batch* b = state().running();
    if (cancelled_) return true;
    if (b == nullptr) return false;
    return cancelled_ = engine_of().cancel(*b);
  }

  /// Runs on_value(T) on the pool's own thread once the result is there; gives what it returns. An
  /// error passes by. What on_value throws becomes the new result's error and harms nothing else.
  /// This result is used up. A callback must not wait for results (that throws std::logic_error);
  /// it may submit.
  template <class F>
  auto then(F on_value) {
    return chain(std::move(on_value), nullptr);
  }
  /// As well, on_error(std::exception_ptr) is called for an error: what it returns is the new
  /// result's value; when it returns void, the error stays the result's error.
  template <class F, class E>
  auto then(F on_value, E on_error) {
    return chain(std::move(on_value), std::move(on_error));
  }

  /// The same result as a std::future<T>, set on the pool's own thread. Defined in future.h.
  auto to_future() &&;
  template <class Future>
  requires detail::is_future_of<Future, T>
  operator Future() && {  // NOLINT(google-explicit-constructor): it is the same
    return std::move(*this).to_future();
  }

  /// <procpool::async_result state=pending>; or running, finished (there is a value), failed,
  /// cancelled, empty (not valid).
  [[nodiscard]] std::string to_string() const {
    const char* name = !valid()           ? "empty"
                       : cancelled_       ? "cancelled"
                       : !ready()         ? running() ? "running" : "pending"
                       : state_->failed() ? "failed"
                                          : "finished";
    return std::string("<procpool::async_result state=") + name + ">";
  }
  template <class Char, class Traits>
  friend std::basic_ostream<Char, Traits>& operator<<(std::basic_ostream<Char, Traits>& out,
                                                      const async_result& r) {
    return out << r.to_string().c_str();
  }

 private:
  template <class U>
  friend class async_result;
  friend class pool;
  friend struct detail::access;

  async_result(std::shared_ptr<detail::engine> e, std::shared_ptr<detail::result_state<T>> s)
      : engine_(std::move(e)), state_(std::move(s)) {}
  detail::engine& engine_of() const { return state(), *engine_; }
  detail::result_state<T>& state() const {
    if (!state_) throw std::logic_error("procpool: this async_result holds no result (any more)");
    return *state_;
  }
  T take() {
    auto s = std::move(state_);
    engine_.reset();
    return s->take();
  }
  void drop() noexcept {
    try {
      detail::completion& when = state_->done();
      if (when.ready() && !state_->unobserved()) return;
      auto e = engine_;  // it may be the report that lets go of it
      e->drop(when, std::make_unique<detail::last_look<T>>(std::move(engine_), std::move(state_)));
    } catch (...) {  // NOLINT(bugprone-empty-catch): no memory, and nobody to tell
    }
  }
  template <class F, class E>
  auto chain(F on_value, E on_error);

  std::shared_ptr<detail::engine> engine_;
  std::shared_ptr<detail::result_state<T>> state_;
  bool cancelled_ = false;
};

// ---- streams ------------------------------------------------------------------------------------

namespace detail {

/// What result_stream pulls from; made by stream.h.
template <class R>
class stream_state {
 public:
  stream_state() = default;
  stream_state(const stream_state&) = delete;
  stream_state& operator=(const stream_state&) = delete;
  virtual ~stream_state() = default;
  /// The next outcome; nothing: the end. Throws timeout_error at the deadline, losing nothing.
  virtual std::optional<outcome<R>> next(engine::clock::time_point deadline) = 0;
};

struct nothing {};  // stands for the value of a void result in a stream
template <class R>
using yielded = std::conditional_t<std::is_void_v<R>, nothing, R>;

}  // namespace detail

/// Results as they come; a move-only std::ranges::input_range. A failed item throws from next(), or
/// from begin() and ++ of the iterator, at its place, and the stream goes on behind it. Leaving it
/// early, by destroying it, drops what has not started.
///
/// The input is read in these calls, on the caller's thread, never more than buffersize items
/// ahead.
template <class R>
class [[nodiscard]] result_stream {
 public:
  using value_type = detail::yielded<R>;

  result_stream(result_stream&&) noexcept = default;
  result_stream& operator=(result_stream&&) noexcept = default;

  /// The next result; nothing at the end, again and again. For void results: a value that says only
  /// that there was one.
  std::optional<value_type> next() { return pull(detail::engine::never); }
  /// Throws timeout_error when none is there after d; nothing is lost, and the stream goes on.
  template <class Rep, class Period>
  std::optional<value_type> next(std::chrono::duration<Rep, Period> d) {
    return pull(detail::deadline_after(d));
  }

  class iterator {
   public:
    using value_type = result_stream::value_type;
    using difference_type = std::ptrdiff_t;
    using iterator_concept = std::input_iterator_tag;

    value_type& operator*() const { return *stream_->at_; }
    value_type* operator->() const { return &*stream_->at_; }
    iterator& operator++() {
      stream_->at_.reset();  // also when next() throws: the failed item is passed
      stream_->at_ = stream_->next();
      return *this;
    }
    void operator++(int) { ++*this; }
    friend bool operator==(const iterator& i, std::default_sentinel_t) { return i.ended(); }

   private:
    friend class result_stream;
    [[nodiscard]] bool ended() const { return stream_->ended_; }
    explicit iterator(result_stream* s) : stream_(s) {}
    result_stream* stream_;
  };
  /// Reads on from where the stream is; the stream must stay where it is meanwhile.
  iterator begin() {
    iterator i(this);
    if (!at_) ++i;
    return i;
  }
  std::default_sentinel_t end() const noexcept { return {}; }

 private:
  friend class pool;
  explicit result_stream(std::unique_ptr<detail::stream_state<R>> s) : state_(std::move(s)) {}

  std::optional<value_type> pull(detail::engine::clock::time_point deadline) {
    if (!state_) throw std::logic_error("procpool: this result_stream was moved from");
    auto o = state_->next(deadline);
    if (!o) {
      ended_ = true;
      return std::nullopt;
    }
    if constexpr (std::is_void_v<R>) {
      std::move(*o).value();
      return detail::nothing{};
    } else {
      return std::move(*o).value();
    }
  }

  std::unique_ptr<detail::stream_state<R>> state_;
  std::optional<value_type> at_;
  bool ended_ = false;
};

// ---- implementation -----------------------------------------------------------------------------

namespace detail {

/// The result of a continuation.
template <class U>
class derived_state final : public completion, public result_state<U> {
 public:
  completion& done() noexcept override { return *this; }
  batch* running() noexcept override { return nullptr; }
  [[nodiscard]] bool failed() const noexcept override { return !*result_; }
  [[nodiscard]] bool unobserved() const noexcept override { return failed() && !observed_; }
  U take() override { return std::move(*result_).value(); }
  void set(outcome<U> o) noexcept { result_.emplace(std::move(o)); }
  /// The error that is to be set was given to on_error.
  void observed() noexcept { observed_ = true; }

 private:
  std::optional<outcome<U>> result_;
  bool observed_ = false;
};

template <class T, class F>
struct then_result {
  using type = std::invoke_result_t<F&, T>;
};
template <class F>
struct then_result<void, F> {
  using type = std::invoke_result_t<F&>;
};

template <class T, class U, class OnValue, class OnError>
class link_to final : public continuation {
 public:
  link_to(std::shared_ptr<engine> e, std::shared_ptr<result_state<T>> from,
          std::shared_ptr<derived_state<U>> to, OnValue on_value, OnError on_error)
      : engine_(std::move(e)),
        from_(std::move(from)),
        to_(std::move(to)),
        on_value_(std::move(on_value)),
        on_error_(std::move(on_error)) {}

  void run() noexcept override {
    try {
      to_->set(make());
    } catch (...) {
      to_->set(std::current_exception());
    }
    from_.reset();
    engine_->complete(*to_);
  }

 private:
  outcome<U> make() {
    if (from_->failed()) {
      try {
        from_->take();
      } catch (...) {
        return recover(std::current_exception());
      }
    }
    if constexpr (std::is_void_v<T>) {
      from_->take();
      return result_of([&]() -> U { return static_cast<U>(on_value_()); });
    } else {
      return result_of([&]() -> U { return static_cast<U>(on_value_(from_->take())); });
    }
  }
  outcome<U> recover(std::exception_ptr error) {
    if constexpr (std::is_same_v<OnError, std::nullptr_t>) {
      return error;
    } else if constexpr (std::is_void_v<std::invoke_result_t<OnError&, std::exception_ptr>>) {
      on_error_(error);
      to_->observed();
      return error;
    } else {
      return result_of([&]() -> U { return static_cast<U>(on_error_(error)); });
    }
  }
  template <class F>
  static outcome<U> result_of(F f) {
    if constexpr (std::is_void_v<U>) {
      f();
      return {};
    } else {
      return f();
    }
  }

  std::shared_ptr<engine> engine_;
  std::shared_ptr<result_state<T>> from_;
  std::shared_ptr<derived_state<U>> to_;
  OnValue on_value_;
  OnError on_error_;
};

}  // namespace detail

template <class T>
template <class F, class E>
auto async_result<T>::chain(F on_value, E on_error) {
  using U = typename detail::then_result<T, F>::type;
  using stored = std::conditional_t<std::is_void_v<U>, void, std::decay_t<U>>;
  state();
  auto to = std::make_shared<detail::derived_state<stored>>();
  async_result<stored> made(engine_, to);
  detail::completion& when = state_->done();
  std::shared_ptr<detail::result_state<T>> keep = state_;  // `when` lies in it
  auto next = std::make_unique<detail::link_to<T, stored, F, E>>(
      engine_, std::move(state_), std::move(to), std::move(on_value), std::move(on_error));
  auto e = std::move(engine_);
  e->then(when, std::move(next));
  return made;
}

}  // namespace procpool
