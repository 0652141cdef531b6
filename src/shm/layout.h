// SPDX-License-Identifier: MIT
// The bytes that parent and workers share; both ends include this file, docs/shm_format.md explains
// it.
//
//   header | parcels | window 0 | window 1 | ...
//
// The parent writes header and parcels; workers map them read-only. A window belongs to one
// worker's place: task slots (written by the parent, words contested by both), reply slots and
// results (written by the worker). A worker maps its own window and no other.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "shm/crash.h"

namespace procpool::shm {

inline constexpr std::uint64_t magic = 0x314c4f4f50434f52;  // "ROCPOOL1"
inline constexpr std::uint32_t version = 7;

inline constexpr std::uint32_t ring_slots = 256;  // a power of two
inline constexpr std::size_t slot_size = 256;
inline constexpr std::size_t slot_head = 64;
inline constexpr std::size_t inline_size = slot_size - slot_head;

struct header {
  std::uint64_t magic;
  std::uint32_t version;
  std::uint32_t reserved;
  std::uint64_t parcels_at;  // offsets and sizes in the segment
  std::uint64_t parcels_size;
  std::uint64_t windows_at;
  std::uint64_t window_size;
  /// The newest module_record in parcels; no_record: there is none.
  std::atomic<std::uint64_t> modules;
  /// What a worker that is a fresh execution must know (local/boot.h), in parcels; no_record: none.
  std::uint64_t boot_at;
  /// Odd: the parent may be asleep, and a worker that publishes a reply wakes it once for this
  /// value.
  alignas(64) std::atomic<std::uint32_t> bell;
  /// The CPU that a thread of the parent was last seen on, for the workers' decision to spin.
  std::atomic<std::uint32_t> cpu;
  /// Values in parcels that the parent has taken back, counted; workers look before each task.
  std::atomic<std::uint32_t> withdrawn;
};
static_assert(sizeof(header) == 128);

inline constexpr std::uint64_t no_record = ~std::uint64_t{0};

/// A module of the parent's, for workers that have to load it: this, the path, the build-id.
struct module_record {
  std::uint64_t previous;  // the record before, in parcels
  std::uint64_t id;        // as in base::token
  std::uint32_t path_size;
  std::uint32_t build_size;
};
static_assert(sizeof(module_record) == 24);

enum task_flag : std::uint32_t {
  task_timed = 1,  ///< the worker notes when each item starts
  task_each = 2,   ///< each item is a call of its own: see worker_half::run
};

/// The parent's half of a slot: one task.
struct task_slot {
  /// lap:16 next:24 end:24. Items [next, end) are not claimed. The worker claims from the front,
  /// the parent takes back from the end, both by compare-and-swap; the lap says which turn of the
  /// ring.
  std::atomic<std::uint64_t> word;
  std::uint64_t
      module;  // the entry point, as base::token, and its type; module and offset 0: leave
  std::uint64_t offset;
  std::uint64_t type;
  std::uint32_t first;  // the parcel's item that is item 0 of the task
  std::uint32_t count;
  std::uint64_t parcel_size;
  std::uint64_t parcel_at;  // in parcels, or in_slot
  std::uint32_t flags;      // task_flag
  std::uint32_t attached;   // what the parent keeps with the parcel: numbered from 0
  std::byte bytes[inline_size];
};
static_assert(sizeof(task_slot) == slot_size && offsetof(task_slot, bytes) == slot_head);

inline constexpr std::uint64_t in_slot = ~std::uint64_t{0};

/// How a reply ends that holds fewer items than the task has.
enum class reply_ending : std::uint32_t {
  whole,
  retires,  ///< the worker leaves after this one
  stopped,  ///< the gate was closed
};

/// The worker's half: what became of the task in the slot of the same number.
struct reply_slot {
  /// The lap of its ring index, once the reply is whole; above it a serial, while the worker waits
  /// for a descriptor among the task's arguments; else 0.
  std::atomic<std::uint32_t> word;
  std::atomic<std::uint32_t> ending;    // reply_ending
  std::atomic<std::uint32_t> progress;  // 2k+1: item k runs; 2k+2: items 0..k are finished
  std::atomic<std::uint32_t> wanted;    // the number of what is attached, while it waits for that
  std::atomic<std::uint64_t> written;   // bytes of the reply that go with `progress`
  std::atomic<std::uint64_t> place;     // the reply's bytes: in the window's results, or in_slot
  std::atomic<std::uint64_t> nanoseconds;
  std::atomic<std::uint64_t> since;  // of a timed task: when the item that runs began
  std::uint64_t reserved2[2];
  std::byte bytes[inline_size];
};
static_assert(sizeof(reply_slot) == slot_size && offsetof(reply_slot, bytes) == slot_head);

/// The head of a vector's block in a window's results; its elements follow. Both sides write it,
/// and the parent believes none of it.
struct vector_head {
  std::atomic<std::uint32_t> state;  // vector_state
  std::uint32_t reserved;
  std::uint64_t size;  // of the whole block; this and next: by the parent, for the worker to come
  std::uint64_t next;  // as window::held
};
inline constexpr std::size_t vector_head_size = 64;
inline constexpr std::size_t vector_alignment = 4096;
static_assert(sizeof(vector_head) == 24);

enum class vector_state : std::uint32_t {
  own,    ///< the worker's; or the parent has not looked at it, and never will once it has
          ///< released the reply
  taken,  ///< the parent holds it
  free,   ///< and does so no more
};

/// What answers a wish, on the worker's socket. The descriptor comes along when `error` is 0.
struct descriptor_answer {
  std::uint32_t serial;  // the wish's
  std::int32_t error;    // ENOENT: that is no descriptor
};
static_assert(sizeof(descriptor_answer) == 8);

struct window {
  /// The worker sleeps on this futex word; the parent adds 1 and wakes.
  alignas(64) std::atomic<std::uint32_t> bell;
  std::atomic<std::uint32_t> asleep;
  std::atomic<std::uint32_t> cpu;  // where the worker was last seen
  /// Ring index of the first task for the worker that is being started; its reply slot holds the
  /// reason when the worker fails before it is ready.
  std::uint32_t start;
  std::atomic<std::uint32_t> state;  // worker_state
  /// Written by the parent. 1: the worker starts no item until it is 0 again (docs/stopping.md).
  std::atomic<std::uint32_t> gate;
  /// Written by the parent, and a futex word: odd while what runs is asked to stop.
  std::atomic<std::uint32_t> asked;
  /// Vectors that the parent has freed, counted.
  std::atomic<std::uint32_t> dropped;
  /// For the worker that is being started: the place of the first vector that the parent holds,
  /// plus one; 0: it holds none.
  std::uint64_t held;
  /// When the parent last woke the worker, and the worker the parent: CLOCK_MONOTONIC, nanoseconds.
  std::atomic<std::uint64_t> woke_worker;
  std::atomic<std::uint64_t> woke_parent;
  alignas(64) task_slot tasks[ring_slots];
  alignas(64) reply_slot replies[ring_slots];
  alignas(64) crash last;  // the worker's last words
  alignas(64) stderr_ring printed;
  // results follow at results_at
};
inline constexpr std::size_t results_at = (sizeof(window) + 4095) / 4096 * 4096;

static_assert(std::atomic<std::uint32_t>::is_always_lock_free);
static_assert(std::atomic<std::uint64_t>::is_always_lock_free);

}  // namespace procpool::shm
