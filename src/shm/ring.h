// SPDX-License-Identifier: MIT
// The protocol of a slot's word: publish, claim, take back. No lock, no owner: whoever dies between
// two steps leaves a word that says exactly which items were claimed.
#pragma once

#include <atomic>
#include <cstdint>

#include "shm/layout.h"

namespace procpool::shm {

inline constexpr std::uint32_t most_items = (1u << 24) - 1;

/// A task word taken apart. Invariant of a good one: next <= end <= the count it was published
/// with.
struct task_word {
  std::uint32_t lap;
  std::uint32_t next;
  std::uint32_t end;

  static constexpr task_word from(std::uint64_t bits) noexcept {
    return {static_cast<std::uint32_t>(bits >> 48),
            static_cast<std::uint32_t>(bits >> 24) & most_items,
            static_cast<std::uint32_t>(bits) & most_items};
  }
  [[nodiscard]] constexpr std::uint64_t bits() const noexcept {
    return std::uint64_t{lap} << 48 | std::uint64_t{next} << 24 | end;
  }
};

/// The turn of the ring that index belongs to, as the word carries it; never 0, so that a zeroed
/// word is published by nobody.
constexpr std::uint32_t lap_of(std::uint32_t index) noexcept {
  return (index / ring_slots) % 0xffff + 1;
}

/// Parent: everything written to the slot before is the worker's to read.
inline void publish(std::atomic<std::uint64_t>& word, std::uint32_t index, std::uint32_t count) {
  word.store(task_word{lap_of(index), 0, count}.bits(), std::memory_order_release);
}

/// Worker: the task for this index has been published.
inline bool published(const std::atomic<std::uint64_t>& word, std::uint32_t index) {
  return task_word::from(word.load(std::memory_order_acquire)).lap == lap_of(index);
}

/// Worker: claims up to `most` items from the front; returns how many, from `from` on.
inline std::uint32_t claim(std::atomic<std::uint64_t>& word, std::uint32_t most,
                           std::uint32_t& from) {
  std::uint64_t seen = word.load(std::memory_order_acquire);
  for (;;) {
    task_word w = task_word::from(seen);
    std::uint32_t left = w.end > w.next ? w.end - w.next : 0;
    std::uint32_t n = left < most ? left : most;
    if (n == 0) return 0;
    from = w.next;
    w.next += n;
    if (word.compare_exchange_weak(seen, w.bits(), std::memory_order_acq_rel,
                                   std::memory_order_acquire))
      return n;
  }
}

/// Parent: takes back what is not claimed from item `keep` on. Returns the word as it stands then:
/// its `end` items stay with the worker. The caller checks it; a worker may have written anything
/// here.
inline task_word take_back(std::atomic<std::uint64_t>& word, std::uint32_t keep) {
  std::uint64_t seen = word.load(std::memory_order_acquire);
  for (;;) {
    task_word w = task_word::from(seen);
    std::uint32_t end = keep > w.next ? keep : w.next;
    if (end >= w.end) return w;
    w.end = end;
    if (word.compare_exchange_weak(seen, w.bits(), std::memory_order_acq_rel,
                                   std::memory_order_acquire))
      return w;
  }
}

}  // namespace procpool::shm
