// SPDX-License-Identifier: MIT
// A worker's private pair of rings, as two halves: what the parent may do and what the worker may
// do.
//
// Slot i of the task ring is answered in slot i of the reply ring, in order, exactly once, also
// when the parent took everything back: so there are no shared indices, and nothing to repair after
// a death. Each half is used by one thread at a time; ready() by any.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "base/fd.h"
#include "base/memory_watch.h"
#include "procpool/detail/batch.h"
#include "shm/layout.h"
#include "shm/own_results.h"
#include "shm/ring.h"
#include "shm/spin.h"

namespace procpool::shm {

/// What is sent: see task_slot. A parcel outside the slot is given by its place in parcels.
struct message {
  std::uint64_t module;
  std::uint64_t offset;
  std::uint64_t type;
  std::uint32_t first;
  std::uint32_t count;
  std::span<const std::byte> parcel;
  std::uint64_t parcel_at;  ///< in_slot, or where parcel already lies in parcels
  bool timed = false;       ///< at_hand() shall know since when an item runs
  bool each = false;        ///< partial() shall tell what is finished while the next item runs
  /// As task_slot::attached.
  std::uint32_t attached = 0;
};

/// What came back for one slot, checked: `bytes` lies in the window, `done` is no more than was
/// sent.
struct answer {
  std::uint32_t index;
  std::uint32_t done;
  bool started;  ///< item `done` was running: only after a death
  reply_ending ending;
  std::span<const std::byte> bytes;
  std::uint64_t nanoseconds;
};

/// What the worker is at: item `item` of a task runs there, or will be the next to.
struct at_hand {
  std::uint32_t index;
  std::uint32_t item;
  bool running;
  std::uint64_t since;  ///< of a timed task's running item: CLOCK_MONOTONIC, as the worker says
};

/// The worker waits for a descriptor: for what is attached under that number to the task at that
/// ring index. The number is the worker's word.
struct descriptor_wish {
  std::uint32_t serial;
  std::uint32_t index;
  std::uint32_t number;  ///< nothing_attached: no item of the task is this worker's any more
};
inline constexpr std::uint32_t nothing_attached = ~std::uint32_t{0};
/// Answers it over the parent's end of the worker's socket; -1: there is no such descriptor. False:
/// the worker goes on waiting, as the system refuses, or it has not read what was sent before.
bool answer_wish(int line, std::uint32_t serial, int descriptor) noexcept;

/// Where a worker's place stands, in window::state.
enum class worker_state : std::uint32_t { starting, ready, failed };

class parent_half {
 public:
  /// `first`: the ring index to begin with; any is as good as any other.
  parent_half(header& head, window& own, std::size_t results_size, std::uint32_t first = 0) noexcept
      : head_(head),
        window_(own),
        results_(reinterpret_cast<std::byte*>(&own) + results_at),
        results_size_(results_size),
        tail_(first),
        read_(first),
        oldest_(first) {}

  /// Before a worker is started here. `suspicious`: the one before may have written anything.
  void prepare(bool suspicious) noexcept;
  [[nodiscard]] worker_state state() const noexcept;
  /// What a failed worker left as its reason.
  [[nodiscard]] std::span<const std::byte> failure() const noexcept;

  /// Slots that can be filled now.
  [[nodiscard]] std::uint32_t room() const noexcept { return ring_slots - (tail_ - oldest_); }
  /// Ring indices of the tasks sent and not answered: from first() until end().
  [[nodiscard]] std::uint32_t first() const noexcept {
    return read_.load(std::memory_order_relaxed);
  }
  [[nodiscard]] std::uint32_t end() const noexcept { return tail_; }
  /// How many those are.
  [[nodiscard]] std::uint32_t unanswered() const noexcept {
    return tail_ - read_.load(std::memory_order_relaxed);
  }
  /// Publishes a task; returns its ring index. Needs room.
  std::uint32_t send(const message& m) noexcept;
  void send_leave() noexcept;
  /// Wakes the worker if it sleeps.
  void wake() noexcept;

  /// See backend::recall. The index must be unanswered.
  std::uint32_t take_back(std::uint32_t index, std::uint32_t keep) noexcept;
  [[nodiscard]] std::uint32_t claimed(std::uint32_t index) const noexcept;

  /// The first task whose answer is not there, or is a stopped one; nothing: all have been
  /// answered.
  [[nodiscard]] std::optional<at_hand> look() const noexcept;
  /// Closes the gate: no item starts from now on, of this task or any. What is at hand then is
  /// exact: an item that runs is the only one that can, until open_gate(). Of that task a stopped
  /// answer, with the rest of it un-started, is taken. Nothing, and an open gate: the system
  /// refused sys::membarrier.
  std::optional<at_hand> close_gate() noexcept;
  /// Takes back an ask(), too.
  void open_gate() noexcept;
  [[nodiscard]] bool gate_is_closed() const noexcept { return gate_closed_; }
  /// The worker's stop token, if it has one, is told to stop what runs. The gate is closed.
  void ask() noexcept;

  /// There is something to read (from any thread).
  [[nodiscard]] bool ready() const noexcept {
    std::uint32_t index = read_.load(std::memory_order_relaxed);
    return static_cast<std::uint16_t>(window_.replies[index % ring_slots].word.load(
               std::memory_order_acquire)) == lap_of(index);
  }
  /// The next answer in order, if it is whole. `corrupt` turns true, for good, when the worker
  /// wrote something that no worker writes.
  std::optional<answer> read() noexcept;
  /// When read() gives nothing: items of the task at hand, of one sent as `each`, that have
  /// finished since this was last asked: `done` of its items, and their bytes, which stay where
  /// they are until the answer is released.
  std::optional<answer> partial() noexcept;
  /// There is something of that kind (from any thread).
  [[nodiscard]] bool part_ready() const noexcept {
    const std::uint32_t i = read_.load(std::memory_order_relaxed) % ring_slots;
    return each_[i].load(std::memory_order_relaxed) &&
           window_.replies[i].progress.load(std::memory_order_acquire) / 2 >
               told_[i].load(std::memory_order_relaxed);
  }
  /// After a death, when read() gives nothing more: what the worker left of the next unanswered
  /// task.
  std::optional<answer> salvage() noexcept;
  [[nodiscard]] bool corrupt() const noexcept { return corrupt_; }
  /// When read() gives nothing: the descriptor that the worker waits for, once. A worker that
  /// wishes where nothing is attached, or over and over again, is corrupt.
  std::optional<descriptor_wish> wish() noexcept {
    if (!wishes_) return std::nullopt;
    return take_wish();
  }
  /// The worker waits for what it will never get.
  void give_up() noexcept;
  /// The answer's bytes are no longer looked at: the slot and its block are free.
  void release(std::uint32_t index) noexcept;

  /// The worker has gone, and all that it answered has been read: what else it wrote is no answer.
  void silence() noexcept;

  /// When the worker last woke the parent, as it says (from any thread).
  [[nodiscard]] std::uint64_t woke_parent() const noexcept {
    return window_.woke_parent.load(std::memory_order_relaxed);
  }
  /// The worker was last seen on another CPU than this thread.
  [[nodiscard]] bool elsewhere(std::uint32_t cpu) const noexcept {
    return window_.cpu.load(std::memory_order_relaxed) != cpu;
  }

 private:
  std::optional<descriptor_wish> take_wish() noexcept;
  [[nodiscard]] std::uint32_t first_unpublished() const noexcept;
  /// Nothing when the slot's words say where no bytes can be.
  [[nodiscard]] std::optional<std::span<const std::byte>> bytes_of(
      const reply_slot& r) const noexcept;
  [[nodiscard]] std::optional<std::span<const std::byte>> bytes_at(
      const reply_slot& r, std::uint64_t place, std::uint64_t size) const noexcept;

  header& head_;
  window& window_;
  const std::byte* results_;
  std::size_t results_size_;
  // Ring indices: oldest_ <= read_ <= tail_. Slots before oldest_ are free.
  std::uint32_t tail_;
  std::atomic<std::uint32_t> read_;
  std::uint32_t oldest_;
  std::array<std::uint32_t, ring_slots> kept_{};  // items that stay with the worker
  std::array<bool, ring_slots> released_{};
  std::array<std::atomic<bool>, ring_slots> each_{};
  std::array<std::atomic<std::uint32_t>, ring_slots> told_{};  // items that partial() has told
  bool corrupt_ = false;
  bool gate_closed_ = false;
  std::array<bool, ring_slots> may_stop_{};  // at hand when the gate closed
  bool wishes_ = false;                      // read() came to a wish
  std::array<std::uint32_t, ring_slots> wishes_left_{};
};

class worker_half {
 public:
  /// `wake_parent`: an eventfd. `line`: the worker's socket; -1: no descriptors.
  worker_half(const header& head, window& own, std::size_t results_size, int wake_parent,
              int line = -1);

  struct task {
    std::uint64_t module;
    std::uint64_t offset;
    std::uint64_t type;
    detail::task_run* run;
  };
  /// Waits for the next task; at most `quota` of its items will be claimed. Nothing: leave.
  std::optional<task> receive(std::uint32_t quota);
  /// Items of the task at hand that will run nowhere else: claimed, and not given back at the gate.
  [[nodiscard]] std::uint32_t taken() const noexcept {
    return run_.stopped() ? run_.progress().load(std::memory_order_relaxed) / 2 : run_.claimed;
  }
  /// Publishes the answer to the task at hand. True: with it the worker retires, because it is told
  /// to, or because it has too much memory.
  bool answer(bool retires);
  /// A descriptor of its own for what is attached to the task at hand under that number. Waits for
  /// the parent; ends the process when that has gone. Nothing: there is no such descriptor. Throws
  /// std::system_error. On the thread that runs the tasks.
  std::optional<base::fd> want(std::uint32_t number);
  /// From now on claims nothing, after the first item, while this process has too much memory.
  void watch(std::unique_ptr<base::memory_watch> memory) noexcept { memory_ = std::move(memory); }

  /// Where this worker's vectors lie.
  [[nodiscard]] std::shared_ptr<detail::vector_store> vectors() const noexcept { return results_; }

  /// The initializer is done; or it failed, and the reason stands in failure().
  void report(worker_state state);
  detail::writer& failure();

 private:
  /// Appends to a reply: in the slot first, in a block of the results once it outgrows that.
  class reply_writer final : public detail::writer {
   public:
    explicit reply_writer(worker_half& owner) noexcept : writer(nullptr, 0), owner_(owner) {
      home_ = owner.results_->home();
    }
    std::size_t attach(std::shared_ptr<const detail::attachment> what) override {
      return owner_.results_->give(*what) ? 0 : writer::attach(std::move(what));
    }
    void start(reply_slot& slot) noexcept;
    [[nodiscard]] std::size_t block_size() const noexcept { return in_block_ ? capacity_ : 0; }

   private:
    void grow(std::size_t more) override;
    worker_half& owner_;
    reply_slot* slot_ = nullptr;
    bool in_block_ = false;
  };

  struct run final : detail::task_run {
    explicit run(worker_half& h) noexcept : half(h) { out_ = &h.out_; }
    bool claim(std::uint32_t& from, std::uint32_t& to) override;
    void tell() noexcept override;
    void set(const task_slot& t, reply_slot& r, std::span<const std::byte> parcel) noexcept;

    worker_half& half;
    std::uint32_t quota = 0;
    std::uint32_t claimed = 0;
    std::uint32_t block = 1;  // items claimed at once: about 25 µs of work
    std::chrono::steady_clock::time_point claimed_at;
  };

  void wait_for_task();
  /// Wakes the parent if it sleeps, for what has just been published.
  void ring() noexcept;
  /// Looks once in 25 µs at most. Who has had too much leaves, whatever it gives back meanwhile.
  bool has_too_much(std::chrono::steady_clock::time_point now) noexcept {
    if (memory_ == nullptr || now - looked_at_ < std::chrono::microseconds(25)) return too_much_;
    looked_at_ = now;
    return too_much_ = too_much_ || memory_->over();
  }
  bool has_too_much() noexcept {
    return memory_ != nullptr && has_too_much(std::chrono::steady_clock::now());
  }
  void free_released() noexcept;
  /// So that holding a block does not fail. Throws std::bad_alloc.
  void make_room_to_hold();
  /// The reply at hand has moved on to a larger block.
  void outgrown(std::byte* block, std::size_t size) noexcept;
  std::span<const std::byte> parcel_of(const task_slot& t) const noexcept;

  const header& head_;
  window& window_;
  std::byte* results_at_;
  std::shared_ptr<own_results> results_;
  int wake_parent_;
  int line_;
  std::uint32_t at_;  // ring index of the task at hand, or of the next
  std::uint32_t rung_ = 0;
  std::uint64_t last_type_ = 0;
  std::chrono::steady_clock::time_point received_at_;
  spinner spinner_{1};
  std::unique_ptr<base::memory_watch> memory_;  // null: it may have any
  std::chrono::steady_clock::time_point looked_at_{};
  bool too_much_ = false;
  std::uint32_t wished_ = 0;  // the serial of the last wish
  reply_writer out_;
  run run_;
  struct held {
    std::uint32_t index;
    std::byte* block;
    std::size_t size;
  };
  // Blocks of answers that the parent may still be looking at; of the one at hand, too, where it is
  // told of each item.
  std::vector<held> held_;
};

}  // namespace procpool::shm
