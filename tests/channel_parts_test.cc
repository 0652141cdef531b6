// SPDX-License-Identifier: MIT
// Tasks whose items are calls of their own: what has ended of one is told while the next runs.
#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <vector>

#include "channel_fixture.h"

namespace procpool::shm {
namespace {

constexpr std::uint32_t no_quota = ~std::uint32_t{0};

class channel_parts : public ::testing::Test {
 protected:
  void SetUp() override { parent.prepare(false); }

  std::uint32_t send(std::uint32_t count) {
    message m = message_of(count);
    m.each = true;
    return parent.send(m);
  }
  /// Item k, of so many bytes, each of them k.
  static void run(detail::task_run& task, std::uint32_t k, std::size_t size = 8) {
    std::uint32_t from = 0;
    std::uint32_t to = 0;
    ASSERT_TRUE(task.claim(from, to));
    EXPECT_EQ(from, k);
    EXPECT_EQ(to, k + 1) << "another stands behind it, and could not be taken";
    ASSERT_TRUE(task.starts(k));
    const std::vector<std::byte> bytes(size, std::byte(k));
    task.out().raw(bytes.data(), bytes.size());
    task.finished(k);
  }
  static void expect_items(std::span<const std::byte> bytes, std::uint32_t done,
                           std::size_t size = 8) {
    ASSERT_EQ(bytes.size(), done * size);
    for (std::size_t i = 0; i < bytes.size(); ++i)
      ASSERT_EQ(bytes[i], std::byte(i / size)) << "byte " << i;
  }

  channel_memory memory{1 << 20};
  parent_half parent = memory.parent();
  worker_half worker = memory.worker();
};

TEST_F(channel_parts, what_has_ended_is_told_once) {
  send(3);
  auto task = worker.receive(no_quota);
  EXPECT_FALSE(parent.part_ready());
  EXPECT_FALSE(parent.partial());
  run(*task->run, 0);
  EXPECT_TRUE(parent.part_ready());
  const auto first = parent.partial();
  ASSERT_TRUE(first);
  EXPECT_EQ(first->done, 1u);
  expect_items(first->bytes, 1);
  EXPECT_FALSE(parent.part_ready());
  EXPECT_FALSE(parent.partial());
  run(*task->run, 1);
  run(*task->run, 2);
  const auto second = parent.partial();
  ASSERT_TRUE(second);
  EXPECT_EQ(second->done, 3u);
  expect_items(second->bytes, 3);
  worker.answer(false);
  const auto whole = parent.read();
  ASSERT_TRUE(whole);
  EXPECT_EQ(whole->done, 3u);
  EXPECT_FALSE(parent.part_ready()) << "it was answered";
}

TEST_F(channel_parts, other_tasks_have_none) {
  parent.send(message_of(2));
  auto task = worker.receive(no_quota);
  std::uint32_t from = 0;
  std::uint32_t to = 0;
  ASSERT_TRUE(task->run->claim(from, to));
  ASSERT_TRUE(task->run->starts(0));
  task->run->finished(0);
  EXPECT_FALSE(parent.part_ready());
  EXPECT_FALSE(parent.partial());
}

TEST_F(channel_parts, are_none_of_the_slot_s_next_turn) {
  for (std::uint32_t turn = 0; turn < 2 * ring_slots; ++turn) {
    const std::uint32_t index = send(2);
    auto task = worker.receive(no_quota);
    run(*task->run, 0);
    if (turn % 3 == 0) {
      EXPECT_TRUE(parent.partial());
    }
    run(*task->run, 1);
    worker.answer(false);
    ASSERT_TRUE(parent.read());
    parent.release(index);
    ASSERT_FALSE(parent.part_ready()) << "turn " << turn;
  }
}

// The reply moves from its slot to a block, and from block to block; what was told stays.
TEST_F(channel_parts, stay_where_they_are_while_the_reply_grows) {
  constexpr std::size_t size = 300;
  constexpr std::uint32_t many = 40;
  send(many);
  auto task = worker.receive(no_quota);
  std::vector<std::span<const std::byte>> told;
  for (std::uint32_t k = 0; k < many; ++k) {
    run(*task->run, k, size);
    const auto part = parent.partial();
    ASSERT_TRUE(part);
    ASSERT_EQ(part->done, k + 1);
    told.push_back(part->bytes);
    for (std::uint32_t i = 0; i <= k; ++i)
      ASSERT_NO_FATAL_FAILURE(expect_items(told[i], i + 1, size));
  }
  worker.answer(false);
  const auto whole = parent.read();
  ASSERT_TRUE(whole);
  expect_items(whole->bytes, many, size);
}

// Their blocks are all free again in the end: otherwise the results would be full.
TEST_F(channel_parts, give_their_blocks_back) {
  for (int round = 0; round < 200; ++round) {
    const std::uint32_t index = send(8);
    auto task = worker.receive(no_quota);
    for (std::uint32_t k = 0; k < 8; ++k) run(*task->run, k, 5000);
    worker.answer(false);
    ASSERT_TRUE(parent.read());
    parent.release(index);
  }
}

TEST_F(channel_parts, after_a_death_what_was_told_counts) {
  const std::uint32_t index = send(3);
  auto task = worker.receive(no_quota);
  run(*task->run, 0);
  run(*task->run, 1);
  ASSERT_TRUE(parent.partial());
  memory.own().replies[index % ring_slots].progress = 0;  // in its last throes
  EXPECT_FALSE(parent.read());
  const auto left = parent.salvage();
  ASSERT_TRUE(left);
  EXPECT_EQ(left->done, 2u);
}

TEST_F(channel_parts, that_are_taken_back_make_the_worker_corrupt) {
  const std::uint32_t index = send(3);
  auto task = worker.receive(no_quota);
  run(*task->run, 0);
  run(*task->run, 1);
  ASSERT_TRUE(parent.partial());
  reply_slot& r = memory.own().replies[index % ring_slots];
  r.progress = 2;
  r.ending = static_cast<std::uint32_t>(reply_ending::retires);
  r.word = lap_of(index);
  EXPECT_FALSE(parent.read());
  EXPECT_TRUE(parent.corrupt());
}

TEST_F(channel_parts, of_more_items_than_were_sent_or_bytes_beyond_the_results_are_refused) {
  for (int which = 0; which < 3; ++which) {
    channel_memory own{1 << 16};
    parent_half p = own.parent();
    p.prepare(false);
    message m = message_of(3);
    m.each = true;
    reply_slot& r = own.own().replies[p.send(m) % ring_slots];
    r.progress = which == 0 ? 8 : 2;
    r.written = which == 1 ? inline_size + 1 : 8;
    if (which == 2) r.place = 4097;
    EXPECT_FALSE(p.partial());
    EXPECT_TRUE(p.corrupt());
  }
}

}  // namespace
}  // namespace procpool::shm
