// SPDX-License-Identifier: MIT
// Waiting for several results: for any, for all, for the first that fails; or one after the other
// as they complete.
//
//     for (auto& r : procpool::as_completed(results)) use(r.get());
//
// `results` is a range of async_results, or of pointers or reference_wrappers to them, or a tuple
// of references to differently typed ones: std::tie(a, b). They may be of several pools, and one
// may stand there twice. One that is not valid() any more, as it was got, is passed over, so that
// all this can be called again and again on one container. A cancelled one has completed.
//
// They belong to the calling thread meanwhile. A deadline is a duration from now or a time_point;
// nothing is lost when it passes. On a pool's own thread (a callback), where wait() would throw
// std::logic_error instead of waiting, these do, too. Costs a lock of the pool for each result, and
// one for each that completes; nothing for results that nobody watches.
#pragma once

#include <chrono>
#include <cstddef>
#include <iterator>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "procpool/detail/watch.h"
#include "procpool/error.h"
#include "procpool/result.h"

namespace procpool {
namespace detail {

template <class T>
inline constexpr bool is_result = false;
template <class T>
inline constexpr bool is_result<async_result<T>> = true;

template <class E>
concept gives_result = requires(E& e) {
  requires is_result<std::remove_cvref_t<decltype(e.get())>>;
};
template <class E>
concept points_to_result = requires(E& e) {
  requires is_result<std::remove_cvref_t<decltype(*e)>>;
};
/// E is an async_result or refers to one.
template <class E>
inline constexpr bool means_result =
    is_result<std::remove_cvref_t<E>> || gives_result<E> || points_to_result<E>;

/// The async_result that it means.
template <class E>
auto& result_of(E& e) {
  if constexpr (is_result<std::remove_cv_t<E>>)
    return e;
  else if constexpr (gives_result<E>)
    return e.get();
  else
    return *e;
}

template <class Tuple>
inline constexpr bool is_tuple_of_results = false;
template <class... E>
inline constexpr bool is_tuple_of_results<std::tuple<E...>> = (means_result<E> && ...);
template <class R>
consteval bool ask_results() {
  if constexpr (std::ranges::input_range<R>)
    return means_result<std::ranges::range_reference_t<R>>;
  else
    return is_tuple_of_results<std::remove_cvref_t<R>>;
}
template <class R>
concept results = ask_results<R>();
/// Results that are still there when the range object is not.
template <class R>
concept lasting_results = results<R> && std::ranges::input_range<R> &&
    (std::ranges::borrowed_range<R> ||
     !is_result<std::remove_cvref_t<std::ranges::range_reference_t<R>>>);

template <class D>
inline constexpr bool is_deadline = false;
template <class Rep, class Period>
inline constexpr bool is_deadline<std::chrono::duration<Rep, Period>> = true;
template <class Clock, class Duration>
inline constexpr bool is_deadline<std::chrono::time_point<Clock, Duration>> = true;
template <class D>
concept deadline = is_deadline<D>;

/// f(index, async_result&) for each that is valid.
template <class R, class F>
void each_result(R& results, F f) {
  std::size_t index = 0;
  auto one = [&](auto& e) {
    auto& r = result_of(e);
    if (r.valid()) f(index, r);
    ++index;
  };
  if constexpr (std::ranges::input_range<R>)
    for (auto&& e : results) one(e);
  else
    std::apply([&](auto&... e) { (one(e), ...); }, results);
}

[[noreturn]] inline void throw_unfinished(const watch& w) {
  throw timeout_error("procpool: " + std::to_string(w.left()) + " of " + std::to_string(w.size()) +
                      " results are unfinished");
}

template <class R>
std::optional<std::size_t> find_any(R& results, engine::clock::time_point until) {
  watch w;
  bool found = false;
  each_result(results, [&](std::size_t i, auto& r) {
    if (!found) found = w.add(i, access::engine(r), access::state(r));
  });
  if (w.size() == 0)
    throw std::logic_error("procpool: wait_any() of results of which none is valid");
  auto ready = w.next(until);
  return ready ? std::optional(ready->index) : std::nullopt;
}

template <class R>
std::optional<std::size_t> find_error(R& results, engine::clock::time_point until) {
  watch w;
  each_result(results, [&](std::size_t i, auto& r) {
    if (!access::cancelled(r)) w.add(i, access::engine(r), access::state(r));
  });
  while (w.left() != 0) {
    auto ready = w.next(until);
    if (!ready) throw_unfinished(w);
    if (ready->result->failed()) return ready->index;
  }
  return std::nullopt;
}

template <class R>
bool all_ready(R& results, engine::clock::time_point until) {
  bool all = true;
  each_result(results, [&](std::size_t, auto& r) {
    all = access::engine(r)->wait(access::state(r)->done(), until) && all;
  });
  return all;
}

}  // namespace detail

/// Waits until one is ready and says which: its place in `results`; of several the first, as far as
/// they are ready already. None valid: std::logic_error, as that would never end.
template <detail::results R>
std::size_t wait_any(R&& results) {
  return *detail::find_any(results, detail::engine::never);
}
/// Nothing: the deadline passed first.
template <detail::results R, detail::deadline D>
std::optional<std::size_t> wait_any(R&& results, D until) {
  return detail::find_any(results, detail::deadline_after(until));
}
/// The same for results side by side: wait_any(a, b, c).
template <class A, class B, class... More>
std::size_t wait_any(const async_result<A>& a, const async_result<B>& b,
                     const async_result<More>&... more) {
  return wait_any(std::tie(a, b, more...));
}

/// Waits until all are ready.
template <detail::results R>
void wait_all(R&& results) {
  detail::all_ready(results, detail::engine::never);
}
/// False: the deadline passed first.
template <detail::results R, detail::deadline D>
bool wait_all(R&& results, D until) {
  return detail::all_ready(results, detail::deadline_after(until));
}
template <class A, class B, class... More>
void wait_all(const async_result<A>& a, const async_result<B>& b,
              const async_result<More>&... more) {
  wait_all(std::tie(a, b, more...));
}

/// Waits until one has failed and gives its place; nothing when all have ended and none failed. One
/// that its owner cancelled did not fail.
template <detail::results R>
std::optional<std::size_t> wait_first_error(R&& results) {
  return detail::find_error(results, detail::engine::never);
}
/// Throws timeout_error, which says how many are unfinished, when the deadline passes before that.
template <detail::results R, detail::deadline D>
std::optional<std::size_t> wait_first_error(R&& results, D until) {
  return detail::find_error(results, detail::deadline_after(until));
}

/// What as_completed returns: a move-only std::ranges::input_range of references to the
/// async_results, each once.
template <class Result>
class [[nodiscard]] completed_results {
 public:
  class iterator {
   public:
    using value_type = std::remove_cv_t<Result>;
    using difference_type = std::ptrdiff_t;
    using iterator_concept = std::input_iterator_tag;

    Result& operator*() const { return *range_->at_; }
    Result* operator->() const { return range_->at_; }
    iterator& operator++() {
      range_->advance();
      return *this;
    }
    void operator++(int) { ++*this; }
    friend bool operator==(const iterator& i, std::default_sentinel_t) { return i.ended(); }

   private:
    friend class completed_results;
    explicit iterator(completed_results* range) : range_(range) {}
    [[nodiscard]] bool ended() const { return range_->at_ == nullptr; }
    completed_results* range_;
  };

  /// Where it is; waits for the first. It must stay where it is meanwhile. Throws timeout_error, as
  /// ++ does, when the deadline passes and some are unfinished; begin() then goes on behind those
  /// that came.
  iterator begin() {
    if (at_ == nullptr) advance();
    return iterator(this);
  }
  std::default_sentinel_t end() const noexcept { return {}; }

  /// From as_completed().
  template <class R>
  completed_results(R& results, detail::engine::clock::time_point until)
      : until_(until), watch_(std::make_unique<detail::watch>()) {
    detail::each_result(results, [&](std::size_t, auto& r) {
      watch_->add(results_.size(), detail::access::engine(r), detail::access::state(r));
      results_.push_back(std::addressof(r));
    });
  }

 private:
  void advance() {
    at_ = nullptr;
    if (watch_->left() == 0) return;
    auto ready = watch_->next(until_);
    if (!ready) detail::throw_unfinished(*watch_);
    at_ = results_[ready->index];
  }

  detail::engine::clock::time_point until_;
  std::unique_ptr<detail::watch> watch_;
  std::vector<Result*> results_;
  Result* at_ = nullptr;
};

namespace detail {

template <class R>
using completed_of = completed_results<std::remove_reference_t<decltype(result_of(
    std::declval<std::remove_reference_t<std::ranges::range_reference_t<R>>&>()))>>;

}  // namespace detail

/// The results as they complete, those that are ready first, each once though it may stand there
/// twice. The async_results must stay where they are until they have been yielded; of those that
/// have been, nothing is kept. timeout_error when the deadline passes: see begin().
template <detail::lasting_results R>
detail::completed_of<R> as_completed(R&& results) {
  return {results, detail::engine::never};
}
template <detail::lasting_results R, detail::deadline D>
detail::completed_of<R> as_completed(R&& results, D until) {
  return {results, detail::deadline_after(until)};
}

}  // namespace procpool
