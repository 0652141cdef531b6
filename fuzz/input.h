// SPDX-License-Identifier: MIT
// What libFuzzer hands a target, as numbers and bytes; and what a target does when something that
// must hold does not.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <span>
#include <vector>

namespace procpool::fuzz {

/// Ends the process, which is how libFuzzer learns of a finding.
inline void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "fuzz: does not hold: %s\n", what);
  std::abort();
}

/// Reads every byte, so that the sanitizer looks at each.
inline void look(std::span<const std::byte> bytes) {
  unsigned all = 0;
  for (const std::byte b : bytes) all += static_cast<unsigned>(b);
  asm volatile("" : : "r"(all));  // it is wanted
}

/// Taken from the front; behind the end everything is zero, so that every input means something.
class input {
 public:
  input(const std::uint8_t* data, std::size_t size) : at_(data), end_(data + size) {}

  [[nodiscard]] bool empty() const noexcept { return at_ == end_; }
  [[nodiscard]] std::size_t left() const noexcept { return static_cast<std::size_t>(end_ - at_); }

  template <std::unsigned_integral T>
  T number() noexcept {
    T value = 0;
    fill(&value, sizeof value);
    return value;
  }
  /// 0..n-1, out of one byte.
  std::uint32_t below(std::uint32_t n) noexcept { return number<std::uint8_t>() % n; }
  /// Writes the next bytes, as far as there are any, over those at `to`.
  void fill(void* to, std::size_t size) noexcept {
    if (size > left()) size = left();
    if (size != 0) std::memcpy(to, at_, size);
    at_ += size;
  }
  /// A copy of exactly its size, aligned as messages are: the sanitizer sees a step beyond.
  [[nodiscard]] std::vector<std::byte> rest() const {
    const auto* from = reinterpret_cast<const std::byte*>(at_);
    return {from, from + left()};
  }

 private:
  const std::uint8_t* at_;
  const std::uint8_t* end_;
};

}  // namespace procpool::fuzz
