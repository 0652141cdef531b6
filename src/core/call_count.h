// SPDX-License-Identifier: MIT
// How many items a worker has begun: those of earlier tasks, and of the task at hand what its
// progress word says. That is written anyway, so an item costs nothing more to count.
#pragma once

#include <atomic>
#include <cstdint>

namespace procpool::core {

class call_count {
  using progress = std::atomic<std::uint32_t>;

 public:
  /// For as long as it lives, a task runs that writes this word. In an in_process pool one may run
  /// inside another.
  class task {
   public:
    task(call_count& all, const progress& word) noexcept
        : all_(all), outer_(all.word_.load(std::memory_order_relaxed)) {
      all_.set(all_.now(), &word);
    }
    task(const task&) = delete;
    task& operator=(const task&) = delete;
    ~task() { all_.set(all_.now() - begun(outer_), outer_); }

   private:
    call_count& all_;
    const progress* outer_;
  };

  /// From any thread.
  [[nodiscard]] std::uint64_t now() const noexcept {
    for (;;) {
      const std::uint32_t turn = turn_.load(std::memory_order_acquire);
      const std::uint64_t sum =
          before_.load(std::memory_order_relaxed) + begun(word_.load(std::memory_order_relaxed));
      std::atomic_thread_fence(std::memory_order_acquire);
      if (turn % 2 == 0 && turn == turn_.load(std::memory_order_relaxed)) return sum;
    }
  }

 private:
  static std::uint64_t begun(const progress* word) noexcept {
    return word == nullptr ? 0 : (word->load(std::memory_order_relaxed) + 1) / 2;
  }
  void set(std::uint64_t before, const progress* word) noexcept {
    const std::uint32_t turn = turn_.load(std::memory_order_relaxed);
    turn_.store(turn + 1, std::memory_order_relaxed);
    std::atomic_thread_fence(std::memory_order_release);
    before_.store(before, std::memory_order_relaxed);
    word_.store(word, std::memory_order_relaxed);
    turn_.store(turn + 2, std::memory_order_release);
  }

  std::atomic<std::uint32_t> turn_{0};  // odd: the two below are being changed
  std::atomic<std::uint64_t> before_{0};
  std::atomic<const progress*> word_{nullptr};
};

}  // namespace procpool::core
