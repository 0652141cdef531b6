// SPDX-License-Identifier: MIT
// Somewhere tasks run. The engine owns one and calls it under its lock, but for the functions that
// say otherwise; a fake fits in forty lines (tests/fake_backend.h).
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "core/event.h"
#include "procpool/detail/batch.h"

namespace procpool::core {

using clock = std::chrono::steady_clock;

/// A parcel's bytes where workers can read them. Owned by whoever holds it; given back by free().
struct block {
  std::byte* data = nullptr;
  std::size_t size = 0;
};

/// Items [first, first + count) of a parcel, for a worker.
struct task_message {
  task_id task;
  const detail::entry_point* entry;
  std::span<const std::byte> parcel;
  bool in_block;  ///< parcel lies in a block of this backend: only its place is sent
  std::uint32_t first;
  std::uint32_t count;
};

class backend {
 public:
  virtual ~backend() = default;

  /// Workers are numbered 0..workers(). Tasks that may be sent to one and not yet released.
  [[nodiscard]] virtual std::uint32_t workers() const = 0;
  [[nodiscard]] virtual std::uint32_t room() const = 0;
  /// From any thread, without the engine's lock. Throws std::bad_alloc.
  virtual block allocate(std::size_t size) = 0;
  virtual void free(block b) noexcept = 0;
  /// Where a worker finds the block's bytes: published_name::at.
  [[nodiscard]] virtual std::uint64_t place_of(const block& b) const noexcept = 0;
  /// A published value was taken back: workers let go, before their next task, of what they made of
  /// it. From any thread.
  virtual void withdrawn() noexcept = 0;

  /// Queues a task for a worker that is up and has room.
  virtual void send(worker_id worker, const task_message& message) = 0;
  /// Wakes the workers that were sent something since the last flush and are asleep.
  virtual void flush() = 0;
  /// Takes back the items from `keep` on that the worker has not claimed, of a task sent and not
  /// answered; returns how many stay (>= keep when some of those were claimed already).
  virtual std::uint32_t recall(worker_id worker, task_id task, std::uint32_t keep) = 0;
  /// Items of the task that the worker has claimed so far.
  [[nodiscard]] virtual std::uint32_t claimed(worker_id worker, task_id task) = 0;

  /// Appends what has happened since the last call.
  virtual void poll(std::vector<event>& to) = 0;
  /// The reply's bytes are no longer looked at.
  virtual void release(worker_id worker, std::uint32_t ticket) = 0;
  /// All that a lost worker left behind has been looked at: its place may be filled again.
  virtual void bury(worker_id worker) = 0;

  /// Waiting. One thread at a time attends; while none does, what happens wakes the background
  /// thread's wait instead. The two waits are without the engine's lock.
  /// `woken`: by wait_in_background; takes note of what woke it.
  virtual void attend(bool woken) = 0;
  virtual void leave() = 0;
  /// Waits for something to poll, or for nudge(); spins first when that pays. Only while attending.
  virtual void wait(clock::time_point deadline) = 0;
  virtual void nudge() noexcept = 0;
  /// Waits for something to poll that nobody attends to, or for interrupt().
  virtual void wait_in_background(clock::time_point deadline) = 0;
  virtual void interrupt() noexcept = 0;
  /// The background thread was woken and finds that another thread attends.
  virtual void stand_by() = 0;
  /// When poll() wants to be called again though nothing has happened (a launch to be tried again).
  [[nodiscard]] virtual clock::time_point next_deadline() const = 0;

  /// No more tasks will be sent: workers leave; each leaving is a worker_lost.
  virtual void retire_all() = 0;
  /// Kills every worker. Their worker_lost events follow.
  virtual void kill_all() noexcept = 0;
  /// No worker and no helper process is left.
  [[nodiscard]] virtual bool gone() const = 0;
};

}  // namespace procpool::core
