// SPDX-License-Identifier: MIT
// Somewhere tasks run. The engine owns one and calls it under its lock, but for the functions that
// say otherwise; a fake fits in forty lines (tests/fake_backend.h).
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/event.h"
#include "procpool/detail/batch.h"

namespace procpool::core {

using clock = std::chrono::steady_clock;

/// Workers that one pool may have.
inline constexpr int most_processes = 4096;

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
  bool timed;  ///< look() shall know since when an item runs
  bool each;   ///< its items are calls of their own: task_progressed tells of each before it sleeps
  /// What is attached to the parcel; there as long as the parcel.
  std::span<const std::shared_ptr<const detail::attachment>> attached = {};
};

/// A worker's process, as whoever keeps it knows it.
struct worker_process {
  enum class stage {
    starting,  ///< worker_up has not been told
    up,
    leaving,  ///< was told to leave, or has said that it does
  };
  int pid;
  stage at;
};

/// What ended a wait in the background.
enum class woken_by {
  deadline,
  interrupt,
  news  ///< there is something to poll
};

class backend {
 public:
  virtual ~backend() = default;

  /// Workers are numbered 0..workers(), which are the places there are for them.
  [[nodiscard]] virtual std::uint32_t workers() const = 0;
  /// At least so many places from now on. Throws std::system_error, std::bad_alloc.
  virtual void grow(std::uint32_t workers) = 0;
  /// So many workers there shall be, no more than places: fewer are made more, now and whenever one
  /// is lost. What is above it stays until retire().
  virtual void keep(std::uint32_t workers) = 0;
  /// Tasks that may be sent to a worker and not yet released.
  [[nodiscard]] virtual std::uint32_t room() const = 0;
  /// From any thread, without the engine's lock. Throws std::bad_alloc.
  virtual block allocate(std::size_t size) = 0;
  virtual void free(block b) noexcept = 0;
  /// Where a worker finds the block's bytes: published_name::at.
  [[nodiscard]] virtual std::uint64_t place_of(const block& b) const noexcept = 0;
  /// A published value was taken back: workers let go, before their next task, of what they made of
  /// it. From any thread.
  virtual void withdrawn() noexcept = 0;

  /// Nothing: the place has no worker.
  [[nodiscard]] virtual std::optional<worker_process> process_of(worker_id worker) const = 0;

  /// Queues a task for a worker that is up and has room.
  virtual void send(worker_id worker, const task_message& message) = 0;
  /// Wakes the workers that were sent something since the last flush and are asleep.
  virtual void flush() = 0;
  /// Takes back the items from `keep` on that the worker has not claimed, of a task sent and not
  /// answered; returns how many stay (>= keep when some of those were claimed already).
  virtual std::uint32_t recall(worker_id worker, task_id task, std::uint32_t keep) = 0;
  /// Items of the task that the worker has claimed so far.
  [[nodiscard]] virtual std::uint32_t claimed(worker_id worker, task_id task) = 0;

  /// hold() works here.
  [[nodiscard]] virtual bool can_hold() const noexcept = 0;
  /// The task a worker is at, of those it has not answered.
  [[nodiscard]] virtual std::optional<at_hand> look(worker_id worker) = 0;
  /// The worker starts no item any more until let_go(). What it is at then is exact: an item that
  /// runs is the only one that can, and no signal meets another. It may answer that task with fewer
  /// items than it was sent; what it did not start then runs elsewhere. Nothing: it is at no task;
  /// or the system refuses, and the worker is not held (holding() tells).
  virtual std::optional<at_hand> hold(worker_id worker) = 0;
  [[nodiscard]] virtual bool holding(worker_id worker) const = 0;
  virtual void let_go(worker_id worker) = 0;
  /// To a held worker: its stop token asks what runs to stop; a signal, followed by the event
  /// signal_sent; its end, and that of what its tasks have started, followed by worker_lost. False:
  /// the message did not get through; again later.
  virtual void ask(worker_id worker) = 0;
  virtual bool signal(worker_id worker, int number) = 0;
  virtual bool kill(worker_id worker) = 0;

  /// The answer to descriptor_wanted: a copy of `descriptor` goes to the worker; -1: there is none.
  virtual void give(worker_id worker, std::uint32_t serial, int descriptor) = 0;

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
  /// `quietly`: what is answered from now on wakes nobody; another will attend before long.
  virtual void leave(bool quietly) = 0;
  /// Waits for something to poll, or for nudge(); spins first when that pays. Only while attending.
  virtual void wait(clock::time_point deadline) = 0;
  virtual void nudge() noexcept = 0;
  /// Waits for something to poll that nobody attends to, or for interrupt(). Without news
  /// there is nothing to poll, unless somebody left quietly.
  virtual woken_by wait_in_background(clock::time_point deadline) = 0;
  virtual void interrupt() noexcept = 0;
  /// The background thread was woken and finds that another thread attends.
  virtual void stand_by() = 0;
  /// When poll() wants to be called again though nothing has happened (a launch to be tried again).
  [[nodiscard]] virtual clock::time_point next_deadline() const = 0;

  /// No more tasks will be sent to a worker that is up: it leaves when it has answered what it was
  /// sent, followed by worker_lost.
  virtual void retire(worker_id worker) = 0;
  /// No more tasks will be sent: workers leave; each leaving is a worker_lost.
  virtual void retire_all() = 0;
  /// Kills every worker. Their worker_lost events follow.
  virtual void kill_all() noexcept = 0;
  /// No worker and no helper process is left.
  [[nodiscard]] virtual bool gone() const = 0;
};

}  // namespace procpool::core
