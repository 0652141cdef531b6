// SPDX-License-Identifier: MIT
// Whether to look again before sleeping. A reply seen while spinning comes back in 0.4 µs, one
// slept for in 45; but spinning against a peer on the same CPU only keeps it from running, so the
// caller says whether the peer runs elsewhere, and spinning that did not pay lately is given up
// step by step.
#pragma once

#include <chrono>
#include <cstdint>

namespace procpool::shm {

inline void relax() noexcept {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield" ::: "memory");
#endif
}

class spinner {
 public:
  /// `most`: how long it spins at most.
  explicit spinner(std::chrono::nanoseconds most) noexcept : most_(most), budget_(most) {}

  /// True as soon as ready() is; false when it is time to sleep. elsewhere(): the peer runs on
  /// another CPU than this thread.
  template <class Ready, class Elsewhere>
  bool spin(Ready&& ready, Elsewhere&& elsewhere) {
    using clock = std::chrono::steady_clock;
    if (ready()) return true;
    if (!elsewhere()) return false;
    if (budget_ < least && ++skipped_ % retry_every != 0) return false;
    auto limit = budget_ < least ? most_ : budget_;
    auto end = clock::now() + limit;
    do {
      for (int i = 0; i < 32; ++i) {
        if (ready()) {
          budget_ = most_;
          return true;
        }
        relax();
      }
    } while (clock::now() < end && elsewhere());
    if (ready()) return true;
    budget_ = budget_ < least ? budget_ : budget_ / 2;
    return false;
  }

 private:
  static constexpr std::chrono::nanoseconds least{2'000};
  static constexpr std::uint32_t retry_every = 16;
  std::chrono::nanoseconds most_;
  std::chrono::nanoseconds budget_;
  std::uint32_t skipped_ = 0;
};

}  // namespace procpool::shm
