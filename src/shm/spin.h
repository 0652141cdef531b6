// SPDX-License-Identifier: MIT
// Whether to look again before sleeping. A reply seen while spinning comes back in 0.4 µs, one
// slept for in 45; but spinning against a peer on the same CPU only keeps it from running. So the
// caller says whether the peer runs elsewhere. If it does not it is given this CPU, once: then
// neither side sleeps, nor has to be woken. Either is left out for a while when it did not pay.
#pragma once

#include <chrono>
#include <cstdint>

#include "base/sys.h"

namespace procpool::shm {

inline void relax() noexcept {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield" ::: "memory");
#endif
}

/// Whether to let the peer have this CPU. A third process that computes here has it for some
/// milliseconds then, which nobody who sleeps would have to wait for when he is woken: what giving
/// way in vain takes shall be a hundredth of the time.
class giving_way {
 public:
  using clock = std::chrono::steady_clock;

  [[nodiscard]] bool pays(clock::time_point now) const noexcept { return now >= not_before_; }
  /// How it went: from, until, and whether what was waited for had come.
  void gave_way(clock::time_point from, clock::time_point until, bool came) noexcept {
    if (!came || until - from > late) not_before_ = from + 100 * (until - from);
  }

 private:
  static constexpr std::chrono::microseconds late{500};
  clock::time_point not_before_{};
};

class spinner {
 public:
  /// `most`: how long it spins at most.
  explicit spinner(std::chrono::nanoseconds most) noexcept : most_(most), budget_(most) {}

  /// True as soon as ready() is; false when it is time to sleep. elsewhere(): the peer runs on
  /// another CPU than this thread. `left`: until the caller will have something else to do; who
  /// has given way may come back later than that.
  template <class Ready, class Elsewhere>
  bool spin(Ready&& ready, Elsewhere&& elsewhere,
            std::chrono::nanoseconds left = std::chrono::nanoseconds::max()) {
    if (ready()) return true;
    if (!elsewhere()) return left > turn && give_way(ready);
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
  using clock = std::chrono::steady_clock;

  template <class Ready>
  bool give_way(Ready&& ready) {
    const auto from = clock::now();
    if (!giving_way_.pays(from)) return false;
    sys::sched_yield();
    const bool came = ready();
    giving_way_.gave_way(from, clock::now(), came);
    return came;
  }

  // So long others may have the CPU that is given to them.
  static constexpr std::chrono::milliseconds turn{20};
  static constexpr std::chrono::nanoseconds least{2'000};
  static constexpr std::uint32_t retry_every = 16;
  std::chrono::nanoseconds most_;
  std::chrono::nanoseconds budget_;
  std::uint32_t skipped_ = 0;
  giving_way giving_way_;
};

}  // namespace procpool::shm
