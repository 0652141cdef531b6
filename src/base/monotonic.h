// SPDX-License-Identifier: MIT
// CLOCK_MONOTONIC as a number that one process writes and another reads: clock_gettime(2).
#pragma once

#include <chrono>
#include <cstdint>

namespace procpool::base {

/// In nanoseconds.
inline std::uint64_t monotonic(
    std::chrono::steady_clock::time_point at = std::chrono::steady_clock::now()) noexcept {
  return static_cast<std::uint64_t>(std::chrono::nanoseconds(at.time_since_epoch()).count());
}

}  // namespace procpool::base
