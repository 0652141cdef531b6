// SPDX-License-Identifier: MIT
// Sleeping on a word of shared memory until another thread or process changes it: futex(2).
#pragma once

#include <atomic>
#include <cstdint>
#include <ctime>

#include "base/sys.h"

namespace procpool::base::futex {

/// Sleeps while `word` is `expected`. False: the deadline (absolute, CLOCK_MONOTONIC; null: none)
/// has passed. True says only that it is worth looking again.
inline bool wait(std::atomic<std::uint32_t>& word, std::uint32_t expected,
                 const timespec* deadline = nullptr) noexcept {
  return sys::futex_wait(&word, expected, deadline) == 0 || errno != ETIMEDOUT;
}

/// Wakes up to `count` sleepers of any process; returns how many.
inline int wake(std::atomic<std::uint32_t>& word, int count) noexcept {
  return sys::futex_wake(&word, count);
}

}  // namespace procpool::base::futex
