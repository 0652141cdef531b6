// SPDX-License-Identifier: MIT
// Some of the workers, as bits: to look at those that matter only, be there two or two thousand.
#pragma once

#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>

namespace procpool::local {

/// Changed under the engine's lock, read by any thread: who finds a worker there sees what was done
/// before it was put in.
class worker_set {
 public:
  explicit worker_set(std::uint32_t most)
      : words_(std::make_unique<std::atomic<std::uint64_t>[]>((most + 63) / 64)) {}

  void insert(std::uint32_t worker) noexcept {
    put(worker, words_[worker / 64].load(std::memory_order_relaxed) | bit(worker));
    if (worker / 64 >= used_.load(std::memory_order_relaxed))
      used_.store(worker / 64 + 1, std::memory_order_relaxed);
  }
  void erase(std::uint32_t worker) noexcept {
    put(worker, words_[worker / 64].load(std::memory_order_relaxed) & ~bit(worker));
  }
  [[nodiscard]] bool contains(std::uint32_t worker) const noexcept {
    return (words_[worker / 64].load(std::memory_order_relaxed) & bit(worker)) != 0;
  }
  [[nodiscard]] bool empty() const noexcept {
    return !any([](std::uint32_t) { return true; });
  }
  /// Calls f for each, in order, until it returns true. f may erase the one it is called for.
  template <class F>
  bool any(F f) const {
    const std::uint32_t used = used_.load(std::memory_order_relaxed);
    for (std::uint32_t i = 0; i < used; ++i)
      for (std::uint64_t left = words_[i].load(std::memory_order_acquire); left != 0;
           left &= left - 1)
        if (f(i * 64 + static_cast<std::uint32_t>(std::countr_zero(left)))) return true;
    return false;
  }
  template <class F>
  void each(F f) const {
    any([&](std::uint32_t worker) {
      f(worker);
      return false;
    });
  }

 private:
  static constexpr std::uint64_t bit(std::uint32_t worker) noexcept {
    return std::uint64_t{1} << (worker % 64);
  }

  void put(std::uint32_t worker, std::uint64_t word) noexcept {
    words_[worker / 64].store(word, std::memory_order_release);
  }

  std::unique_ptr<std::atomic<std::uint64_t>[]> words_;
  std::atomic<std::uint32_t> used_{0};  // words; only ever more
};

}  // namespace procpool::local
