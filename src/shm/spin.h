// SPDX-License-Identifier: MIT
// Whether to look again before sleeping. A reply seen while spinning comes back in 0.4 µs, one
// slept for in 45; but spinning against a peer on the same CPU only keeps it from running. So the
// caller says whether the peer runs elsewhere. If it does not it is given this CPU, once: then
// neither side sleeps, nor has to be woken. Either is left out for a while when it did not pay.
// Spinning in vain costs what being woken does, or twice that, and that is measured all the time.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>

#include "base/monotonic.h"
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

/// What it takes on this machine until somebody on another CPU who was called runs: 45 µs on one
/// host, 120 on another.
class wake_up {
 public:
  using clock = std::chrono::steady_clock;

  [[nodiscard]] std::chrono::nanoseconds takes() const noexcept { return takes_; }
  /// A sleep ended at `now`. `called`: when the peer last called, by the same clock, in
  /// nanoseconds, which may be any number; when it is that of the time before, another has ended
  /// the sleep.
  void ended(std::uint64_t called, clock::time_point now) noexcept {
    if (called == called_) return;
    called_ = called;
    const std::chrono::nanoseconds took(static_cast<std::int64_t>(base::monotonic(now) - called));
    // Who had to wait for a CPU besides says nothing.
    if (took < std::chrono::nanoseconds(0) || took > late) return;
    takes_ = std::clamp(takes_ + (took - takes_) / 8, least, most);
  }

 private:
  static constexpr std::chrono::nanoseconds least{50'000};
  static constexpr std::chrono::nanoseconds most{200'000};
  static constexpr std::chrono::nanoseconds late{500'000};
  std::chrono::nanoseconds takes_ = least;
  std::uint64_t called_ = 0;
};

class spinner {
 public:
  /// It spins for as long as so many wake-ups take.
  explicit spinner(int wake_ups) noexcept : wake_ups_(wake_ups) {}

  /// True as soon as ready() is; false when it is time to sleep. elsewhere(): the peer runs on
  /// another CPU than this thread. `left`: until the caller will have something else to do; who
  /// has given way may come back later than that.
  template <class Ready, class Elsewhere>
  bool spin(Ready&& ready, Elsewhere&& elsewhere,
            std::chrono::nanoseconds left = std::chrono::nanoseconds::max()) {
    if (ready()) return true;
    if (!elsewhere()) return left > turn && give_way(ready);
    const auto most = wake_ups_ * wake_up_.takes();
    const auto budget = most / (1 << in_vain_);
    if (budget < least && ++skipped_ % retry_every != 0) return false;
    const auto end = clock::now() + (budget < least ? most : budget);
    do {
      for (int i = 0; i < 32; ++i) {
        if (ready()) {
          in_vain_ = 0;
          return true;
        }
        relax();
      }
    } while (clock::now() < end && elsewhere());
    if (ready()) return true;
    if (budget >= least) ++in_vain_;
    return false;
  }

  /// A sleep is over: see wake_up::ended. On one CPU that takes next to nothing, and nobody spins.
  void woken(std::uint64_t called, bool elsewhere) noexcept {
    if (elsewhere) wake_up_.ended(called, clock::now());
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
  int wake_ups_;
  wake_up wake_up_;
  int in_vain_ = 0;  // each time halves what is spun
  std::uint32_t skipped_ = 0;
  giving_way giving_way_;
};

}  // namespace procpool::shm
