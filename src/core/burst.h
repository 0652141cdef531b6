// SPDX-License-Identifier: MIT
// Calls that come one right after the other without anybody waiting for them: then whoever makes
// them takes in what came back as well, every few calls, and neither is the background thread woken
// for each result nor do two threads, on two cores, write the same data in turn.
#pragma once

#include <chrono>
#include <cstdint>

#include "core/backend.h"

namespace procpool::core {

class burst {
 public:
  static constexpr std::chrono::microseconds usual_pause{300};
  /// Without a call or a wait for so long it is over.
  explicit burst(std::chrono::microseconds pause = usual_pause) noexcept : pause_(pause) {}

  /// Whose turn it is to take in results comes round after so many calls.
  static constexpr std::uint32_t turn = 32;  // a power of two: calls_ may wrap

  /// Calls were made. True: their caller's turn.
  bool submitted(clock::time_point now, std::uint32_t calls = 1) noexcept {
    if (now - last_ >= pause_) calls_ = 0;
    last_ = now;
    calls_ += calls;
    return begun() && calls_ % turn < calls;
  }
  /// Somebody has waited for a result.
  void waited(clock::time_point now) noexcept {
    if (on(now))
      last_ = now;
    else if (begun())
      calls_ = 0;
  }
  /// False: it is not on, whatever the time.
  [[nodiscard]] bool begun() const noexcept { return calls_ >= long_enough; }
  [[nodiscard]] bool on(clock::time_point now) const noexcept {
    return begun() && now - last_ < pause_;
  }
  /// When it will be over, unless it goes on.
  [[nodiscard]] clock::time_point end() const noexcept { return last_ + pause_; }

 private:
  static constexpr std::uint32_t long_enough = 32;

  std::chrono::microseconds pause_;
  std::uint32_t calls_ = 0;
  clock::time_point last_{};
};

}  // namespace procpool::core
