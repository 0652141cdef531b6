// SPDX-License-Identifier: MIT
// The format that parent and workers share, frozen. A change here is a change of docs/shm_format.md
// and of shm::version.
#include "shm/layout.h"

#include <gtest/gtest.h>

#include <cstring>
#include <type_traits>

#include "shm/channel.h"
#include "shm/ring.h"

// Of types that are not standard layout only in the letter (atomics), which both compilers lay out
// alike.
#pragma GCC diagnostic ignored "-Winvalid-offsetof"

namespace procpool::shm {
namespace {

static_assert(version == 7);
static_assert(ring_slots == 256 && slot_size == 256 && slot_head == 64 && inline_size == 192);
static_assert(in_slot == ~std::uint64_t{0});

// ---- header
static_assert(sizeof(header) == 128 && alignof(header) == 64);
static_assert(offsetof(header, magic) == 0);
static_assert(offsetof(header, version) == 8);
static_assert(offsetof(header, reserved) == 12);
static_assert(offsetof(header, parcels_at) == 16);
static_assert(offsetof(header, parcels_size) == 24);
static_assert(offsetof(header, windows_at) == 32);
static_assert(offsetof(header, window_size) == 40);
static_assert(offsetof(header, modules) == 48);
static_assert(offsetof(header, boot_at) == 56);
static_assert(offsetof(header, bell) == 64);
static_assert(offsetof(header, cpu) == 68);
static_assert(offsetof(header, withdrawn) == 72);

// ---- a task
static_assert(sizeof(task_slot) == 256);
static_assert(offsetof(task_slot, word) == 0);
static_assert(offsetof(task_slot, module) == 8);
static_assert(offsetof(task_slot, offset) == 16);
static_assert(offsetof(task_slot, type) == 24);
static_assert(offsetof(task_slot, first) == 32);
static_assert(offsetof(task_slot, count) == 36);
static_assert(offsetof(task_slot, parcel_size) == 40);
static_assert(offsetof(task_slot, parcel_at) == 48);
static_assert(offsetof(task_slot, flags) == 56);
static_assert(offsetof(task_slot, attached) == 60);
static_assert(offsetof(task_slot, bytes) == 64);

// ---- its answer
static_assert(sizeof(reply_slot) == 256);
static_assert(offsetof(reply_slot, word) == 0);
static_assert(offsetof(reply_slot, ending) == 4);
static_assert(offsetof(reply_slot, progress) == 8);
static_assert(offsetof(reply_slot, wanted) == 12);
static_assert(offsetof(reply_slot, written) == 16);
static_assert(offsetof(reply_slot, place) == 24);
static_assert(offsetof(reply_slot, nanoseconds) == 32);
static_assert(offsetof(reply_slot, since) == 40);
static_assert(offsetof(reply_slot, bytes) == 64);

// ---- a window
static_assert(alignof(window) == 64);
static_assert(offsetof(window, bell) == 0);
static_assert(offsetof(window, asleep) == 4);
static_assert(offsetof(window, cpu) == 8);
static_assert(offsetof(window, start) == 12);
static_assert(offsetof(window, state) == 16);
static_assert(offsetof(window, gate) == 20);
static_assert(offsetof(window, asked) == 24);
static_assert(offsetof(window, dropped) == 28);
static_assert(offsetof(window, held) == 32);
static_assert(offsetof(window, woke_worker) == 40);
static_assert(offsetof(window, woke_parent) == 48);
static_assert(offsetof(window, tasks) == 64);
static_assert(offsetof(window, replies) == 64 + 256 * 256);
static_assert(offsetof(window, last) == 64 + 2 * 256 * 256);
static_assert(offsetof(window, printed) == offsetof(window, last) + 2368);
static_assert(results_at == 34 * 4096 && results_at >= sizeof(window));

// ---- a vector's block
static_assert(offsetof(vector_head, state) == 0);
static_assert(offsetof(vector_head, size) == 8);
static_assert(offsetof(vector_head, next) == 16);
static_assert(vector_head_size == 64);
static_assert(static_cast<std::uint32_t>(vector_state::own) == 0);
static_assert(static_cast<std::uint32_t>(vector_state::taken) == 1);
static_assert(static_cast<std::uint32_t>(vector_state::free) == 2);

// ---- the last words
static_assert(offsetof(crash, signal) == 0);
static_assert(offsetof(crash, code) == 4);
static_assert(offsetof(crash, sender) == 8);
static_assert(offsetof(crash, frames) == 12);
static_assert(offsetof(crash, address) == 16);
static_assert(offsetof(crash, type_size) == 24);
static_assert(offsetof(crash, text_size) == 28);
static_assert(offsetof(crash, stack) == 32);
static_assert(offsetof(crash, type) == 32 + 64 * 16);
static_assert(offsetof(crash, text) == 32 + 64 * 16 + 256);
static_assert(sizeof(crash) == 2336);
static_assert(offsetof(stderr_ring, end) == 0);
static_assert(offsetof(stderr_ring, bytes) == 8);
static_assert(sizeof(stderr_ring) == 8 + 2048);

static_assert(static_cast<std::uint32_t>(reply_ending::whole) == 0);
static_assert(static_cast<std::uint32_t>(reply_ending::retires) == 1);
static_assert(static_cast<std::uint32_t>(reply_ending::stopped) == 2);
static_assert(static_cast<std::uint32_t>(worker_state::starting) == 0);
static_assert(static_cast<std::uint32_t>(worker_state::ready) == 1);
static_assert(static_cast<std::uint32_t>(worker_state::failed) == 2);

// What is copied byte by byte must be bytes: no pointer of one process, no destructor to run.
static_assert(std::is_trivially_destructible_v<header> && std::is_trivially_destructible_v<window>);

TEST(layout, the_magic_reads_as_text_in_a_dump) {
  char text[sizeof magic];
  std::memcpy(text, &magic, sizeof magic);
  EXPECT_EQ(std::string(text, sizeof text), "ROCPOOL1");
}

TEST(layout, a_task_word_is_lap_next_end_from_the_top) {
  EXPECT_EQ((task_word{0x1234, 0x56789a, 0xbcdef0}.bits()), 0x123456789abcdef0u);
  task_word w = task_word::from(0x123456789abcdef0u);
  EXPECT_EQ(w.lap, 0x1234u);
  EXPECT_EQ(w.next, 0x56789au);
  EXPECT_EQ(w.end, 0xbcdef0u);
}

}  // namespace
}  // namespace procpool::shm
