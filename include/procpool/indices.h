// SPDX-License-Identifier: MIT
// Numbers in a row, as a range for map: std::views::iota, for every compiler.
#pragma once

#include <concepts>
#include <cstddef>
#include <iterator>
#include <type_traits>

namespace procpool {

/// What indices() makes: first, first + 1, ... last - 1. A random-access, sized, borrowed range;
/// the numbers are made as they are read.
template <std::integral T>
class index_range {
 public:
  class iterator {
   public:
    using iterator_concept = std::random_access_iterator_tag;
    using iterator_category = std::input_iterator_tag;  // *i is no reference
    using value_type = T;
    using difference_type = std::ptrdiff_t;
    using reference = T;
    using pointer = void;

    constexpr iterator() = default;
    constexpr explicit iterator(T at) noexcept : at_(at) {}
    constexpr T operator*() const noexcept { return at_; }
    constexpr T operator[](difference_type n) const noexcept { return *(*this + n); }
    constexpr iterator& operator+=(difference_type n) noexcept {
      at_ = static_cast<T>(static_cast<difference_type>(at_) + n);
      return *this;
    }
    constexpr iterator& operator-=(difference_type n) noexcept { return *this += -n; }
    constexpr iterator& operator++() noexcept { return *this += 1; }
    constexpr iterator& operator--() noexcept { return *this -= 1; }
    constexpr iterator operator++(int) noexcept {
      iterator old = *this;
      ++*this;
      return old;
    }
    constexpr iterator operator--(int) noexcept {
      iterator old = *this;
      --*this;
      return old;
    }
    friend constexpr iterator operator+(iterator i, difference_type n) noexcept { return i += n; }
    friend constexpr iterator operator+(difference_type n, iterator i) noexcept { return i += n; }
    friend constexpr iterator operator-(iterator i, difference_type n) noexcept { return i -= n; }
    friend constexpr difference_type operator-(iterator a, iterator b) noexcept {
      return static_cast<difference_type>(a.at_) - static_cast<difference_type>(b.at_);
    }
    friend constexpr bool operator==(iterator a, iterator b) noexcept = default;
    friend constexpr auto operator<=>(iterator a, iterator b) noexcept { return a.at_ <=> b.at_; }

   private:
    T at_ = 0;
  };

  constexpr index_range() = default;
  constexpr index_range(T first, T last) noexcept
      : first_(first), last_(last < first ? first : last) {}
  [[nodiscard]] constexpr iterator begin() const noexcept { return iterator(first_); }
  [[nodiscard]] constexpr iterator end() const noexcept { return iterator(last_); }
  [[nodiscard]] constexpr std::size_t size() const noexcept {
    return static_cast<std::size_t>(end() - begin());
  }
  [[nodiscard]] constexpr bool empty() const noexcept { return first_ == last_; }
  constexpr T operator[](std::size_t n) const noexcept {
    return begin()[static_cast<std::ptrdiff_t>(n)];
  }

 private:
  T first_ = 0;
  T last_ = 0;
};

/// 0, 1, ... n - 1; nothing when n is not positive. Fewer than 2^63.
template <std::integral T>
[[nodiscard]] constexpr index_range<T> indices(T n) noexcept {
  return {T{0}, n};
}
/// first, first + 1, ... last - 1; nothing when last is not behind first.
template <std::integral A, std::integral B>
[[nodiscard]] constexpr auto indices(A first, B last) noexcept {
  using T = std::common_type_t<A, B>;
  return index_range<T>(static_cast<T>(first), static_cast<T>(last));
}

}  // namespace procpool

// NOLINTNEXTLINE(cert-dcl58-cpp): this is what it is there for
template <class T>
inline constexpr bool std::ranges::enable_borrowed_range<procpool::index_range<T>> = true;
