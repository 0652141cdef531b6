// SPDX-License-Identifier: MIT
// How the parent sleeps and is woken. Each worker has an eventfd of its own and writes it only when
// the shared bell says that the parent may be asleep; so a reply that is waited for while spinning
// costs no system call on either side, and no worker can take another's wake-up away.
//
// Two sets to sleep on: `all` has whatever can happen, for the thread that attends; `background`
// has the interrupt, the control descriptors, and `all` while nobody attends and workers are busy.
// So the background thread is not woken for what another thread is already waiting for, and who
// makes one call after the other moves nothing from set to set.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <ctime>
#include <functional>
#include <span>
#include <vector>

#include "base/fd.h"
#include "core/backend.h"
#include "shm/layout.h"
#include "shm/spin.h"

namespace procpool::local {

using clock = std::chrono::steady_clock;

/// Resets the flag; true: it was set. Mostly it was not, and an exchange costs ten times a load.
inline bool take(std::atomic<bool>& flag) noexcept {
  return flag.load(std::memory_order_relaxed) && flag.exchange(false, std::memory_order_relaxed);
}

class bell {
 public:
  /// Throws std::system_error, as do the next two.
  explicit bell(shm::header& head);
  /// Descriptors whose readiness is a control event.
  void watch_control(std::span<const int> control);
  /// One more worker, by its eventfd.
  void add(const base::fd& worker);

  // The next three are called with the engine's lock held.
  void attend(bool woken) noexcept;
  /// `busy`: a worker may answer. ready(): something can be polled.
  template <class Ready>
  void leave(bool quietly, bool busy, Ready&& ready) noexcept {
    attended_ = false;
    if (busy) expect();
    if (quietly) return;
    arm();
    // A control descriptor that this thread has seen is the other's to read.
    if (ready() || control_.load(std::memory_order_relaxed)) interrupt();
  }
  /// A worker may answer from now on.
  void expect() noexcept {
    if (!attended_ && !in_background_.exchange(true)) join_background();
  }
  /// Sleeps until something can be polled; spins first. Before it sleeps it asks for what spinning
  /// is not ended by, too. called(): when a worker last woke the parent. Without the engine's lock.
  template <class Ready, class PartReady, class Elsewhere, class Called>
  void wait(clock::time_point deadline, Ready&& ready, PartReady&& part_ready,
            Elsewhere&& elsewhere, Called&& called) noexcept {
    const auto left = left_until(deadline);
    if (left != clock::duration::zero() && spinner_.spin(ready, elsewhere, left)) return;
    if (in_background_.exchange(false)) leave_background();
    arm();
    if (!part_ready() && !ready()) {
      sleep(all_.get(), deadline);
      spinner_.woken(called(), elsewhere());
    }
    disarm();
  }
  core::woken_by wait_in_background(clock::time_point deadline) noexcept;
  void stand_by() noexcept;
  void nudge() noexcept;
  void interrupt() noexcept;

  /// True once after a control descriptor was seen ready; and now and then, for a thread that never
  /// sleeps sees none.
  [[nodiscard]] bool control_due() noexcept { return take(control_) || ++polls_ % 256 == 0; }
  /// A control descriptor that stays ready for ever is no longer watched.
  void forget(int control) noexcept;

 private:
  /// Not less than zero; max: the deadline is max, which is none.
  static clock::duration left_until(clock::time_point deadline) noexcept;
  void arm() noexcept;
  void disarm() noexcept;
  core::woken_by sleep(int epoll, clock::time_point deadline) noexcept;
  void join_background() noexcept;
  void leave_background() noexcept;

  std::atomic<std::uint32_t>& word_;
  base::fd all_;
  base::fd background_;
  base::fd nudge_;
  base::fd interrupt_;
  bool attended_ = false;                  // guarded by the engine's lock
  std::atomic<bool> in_background_{true};  // `all` is in `background`
  std::atomic<bool> control_{false};
  std::uint32_t polls_ = 0;  // guarded by the engine's lock
  // Two: a worker that has to be woken first answers no earlier than that takes, and who sleeps by
  // then has to be woken as well.
  shm::spinner spinner_{2};
};

}  // namespace procpool::local
