// SPDX-License-Identifier: MIT
// A process as its parent sees it: its number, and a descriptor that means it alone for ever (a
// number may be given to another process once somebody has reaped this one).
#pragma once

#include <sys/types.h>

#include <chrono>
#include <utility>

#include "base/fd.h"

namespace procpool::process {

using clock = std::chrono::steady_clock;

/// Passive: when it goes, the process stays. Used by one thread at a time.
class handle {
 public:
  handle() = default;
  handle(pid_t pid, base::fd pidfd) noexcept : pid_(pid), pidfd_(std::move(pidfd)) {}

  [[nodiscard]] pid_t pid() const noexcept { return pid_; }
  [[nodiscard]] int pidfd() const noexcept { return pidfd_.get(); }
  explicit operator bool() const noexcept { return static_cast<bool>(pidfd_); }

  /// It runs no more; perhaps nobody has reaped it yet.
  [[nodiscard]] bool ended() const noexcept;
  void kill(int signal) noexcept;
  /// Waits for its end and reaps it, unless somebody did: a user who ignores SIGCHLD, or who calls
  /// wait(). False: it still ran when the deadline passed; clock::time_point::max() is none.
  bool reap(clock::time_point deadline) noexcept;

 private:
  pid_t pid_ = 0;
  base::fd pidfd_;
};

/// What is left until the deadline, for poll; not below zero. A null pointer for max(): no end.
class timeout {
 public:
  explicit timeout(clock::time_point deadline) noexcept;
  [[nodiscard]] const timespec* get() const noexcept { return endless_ ? nullptr : &left_; }

 private:
  bool endless_;
  timespec left_{};
};

}  // namespace procpool::process
