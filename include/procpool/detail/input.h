// SPDX-License-Identifier: MIT
// The inputs of calls as sources: the arguments of one call, ranges side by side, a range of
// tuples.
#pragma once

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <memory>
#include <tuple>
#include <type_traits>
#include <utility>

#include "procpool/detail/batch.h"
#include "procpool/detail/invoke.h"

namespace procpool::detail {

/// apply: one item. Refers to its arguments, which were passed as P.
template <class I, class F, class P, class... A>
class one_call final : public source {
 public:
  explicit one_call(const F& f, const A&... args) : f_(f), args_(args...) {}
  void head(writer& out) override { encode_callable(out, f_); }
  std::size_t encode(writer& out, std::size_t) override {
    std::apply([&](const A&... a) { I::put(out, P{}, a...); }, args_);
    return 1;
  }
  [[nodiscard]] std::size_t expected() const override { return 1; }

 private:
  const F& f_;
  std::tuple<const A&...> args_;
};

/// Several ranges side by side; the shortest ends them. An iterator is advanced only when the item
/// after it is wanted: exactly as many items are read as are asked for.
template <class... Rs>
class zipped {
 public:
  explicit zipped(Rs&... ranges)
      : at_(std::ranges::begin(ranges)...),
        end_(std::ranges::end(ranges)...),
        expected_(std::min({expected(ranges)...})) {}

  /// True: there is another item, and use(elements...) was called with it. The item counts as read
  /// even when use() throws.
  template <class Use>
  bool next(Use&& use) {
    return next(std::forward<Use>(use), std::index_sequence_for<Rs...>{});
  }
  [[nodiscard]] std::size_t expected() const noexcept { return expected_; }

  /// For one contiguous range: the next up to `most` elements at once.
  auto next_block(std::size_t most) {
    auto& at = std::get<0>(at_);
    if (std::exchange(read_, false)) ++at;
    auto left = static_cast<std::size_t>(std::get<0>(end_) - at);
    std::size_t n = std::min(most, left);
    auto* first = std::to_address(at);
    at += static_cast<std::ptrdiff_t>(n);
    return std::pair(first, n);
  }

 private:
  template <class Use, std::size_t... I>
  bool next(Use&& use, std::index_sequence<I...>) {
    if (read_) {
      (static_cast<void>(++std::get<I>(at_)), ...);
      read_ = false;
    }
    if (((std::get<I>(at_) == std::get<I>(end_)) || ...)) return false;
    read_ = true;
    use(*std::get<I>(at_)...);
    return true;
  }
  template <class R>
  static std::size_t expected(R& range) {
    if constexpr (std::ranges::sized_range<R>)
      return static_cast<std::size_t>(std::ranges::size(range));
    else
      return source::unknown;
  }

  std::tuple<std::ranges::iterator_t<Rs>...> at_;
  std::tuple<std::ranges::sentinel_t<Rs>...> end_;
  std::size_t expected_;
  bool read_ = false;  // the item at at_ has been used
};

/// A source over ranges that can say, after a throw, how far it came and whose fault it was.
class resumable : public source {
 public:
  virtual ~resumable() = default;
  /// Items appended by the last encode().
  [[nodiscard]] std::size_t appended() const noexcept { return appended_; }
  /// What the last encode() threw came from encoding one item; the input goes on behind it.
  [[nodiscard]] bool item_failed() const noexcept { return item_failed_; }

 protected:
  std::size_t appended_ = 0;
  bool item_failed_ = false;
};

/// What an element is passed as, that is an E in a range which was passed as an R: a container that
/// nobody wants any more gives its elements away.
template <class R, class E>
using passed_element =
    std::conditional_t<!std::is_lvalue_reference_v<R> && !std::ranges::view<std::remove_cvref_t<R>>,
                       std::remove_reference_t<E>, E>;

template <class I, bool Star, class F, class P, class... Rs>
class items;
/// map: I's item for each element of the ranges, which were passed as P. Star: elements are tuples
/// to be unpacked.
template <class I, bool Star, class F, class... P, class... Rs>
class items<I, Star, F, types<P...>, Rs...> final : public resumable {
 public:
  items(const F& f, Rs&... ranges) : f_(f), input_(ranges...) {}

  void head(writer& out) override { encode_callable(out, f_); }
  [[nodiscard]] std::size_t expected() const override { return input_.expected(); }

  std::size_t encode(writer& out, std::size_t most) override {
    appended_ = 0;
    item_failed_ = false;
    if constexpr (block_copy()) {
      auto [first, n] = input_.next_block(most);
      out.raw(first, n * I::argument_stride());
      return appended_ = n;
    } else {
      while (appended_ < most && input_.next([&](auto&&... elements) {
        item_failed_ = true;
        put(out, types<passed_element<P, decltype(elements)>...>{}, elements...);
        item_failed_ = false;
      }))
        ++appended_;
      return appended_;
    }
  }

 private:
  /// One contiguous range of exactly what the worker takes: its bytes are the items.
  static constexpr bool block_copy() {
    if constexpr (Star || sizeof...(Rs) != 1 || !I::packed_arguments) {
      return false;
    } else {
      using R = std::tuple_element_t<0, std::tuple<Rs...>>;
      if constexpr (std::ranges::contiguous_range<R> && std::ranges::sized_range<R> &&
                    std::sized_sentinel_for<std::ranges::sentinel_t<R>, std::ranges::iterator_t<R>>)
        return I::template takes<std::ranges::range_value_t<R>>();
      else
        return false;
    }
  }
  template <class... As, class... E>
  static void put(writer& out, [[maybe_unused]] types<As...> as, const E&... elements) {
    if constexpr (Star)
      (std::apply([&](const auto&... parts) { I::put(out, unpack<As>(), parts...); }, elements),
       ...);
    else
      I::put(out, as, elements...);
  }

  const F& f_;
  zipped<Rs...> input_;
};

}  // namespace procpool::detail
