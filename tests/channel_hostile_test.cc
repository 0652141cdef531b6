// SPDX-License-Identifier: MIT
// Whatever a worker writes into its window, the parent reads inside the window, hands out no more
// than it sent, and comes back. The memory is as large as it says, so AddressSanitizer sees every
// step beyond.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "channel_fixture.h"

namespace procpool::shm {
namespace {

constexpr std::size_t results_size = 64 << 10;

/// Reads every byte, so that a sanitizer looks at each.
unsigned sum(std::span<const std::byte> bytes) {
  unsigned all = 0;
  for (std::byte b : bytes) all += static_cast<unsigned>(b);
  return all;
}

class channel_hostile : public ::testing::Test {
 protected:
  void SetUp() override {
    parent.prepare(false);
    index = parent.send(message_of(10));
    reply().progress.store(20);
    reply().written.store(80);
    reply().place.store(in_slot);
    reply().ending = 0;
    publish_reply();
  }
  reply_slot& reply() { return memory.own().replies[index % ring_slots]; }
  std::atomic<std::uint64_t>& word() { return memory.own().tasks[index % ring_slots].word; }
  void publish_reply() { reply().word.store(lap_of(index)); }
  void expect_refused() {
    EXPECT_FALSE(parent.read());
    EXPECT_TRUE(parent.corrupt());
    EXPECT_FALSE(parent.read()) << "nothing it says is believed any more";
    // After its death: what it can have done is bounded by what it was sent.
    auto left = parent.salvage();
    ASSERT_TRUE(left);
    EXPECT_LE(left->done + (left->started ? 1u : 0u), 10u);
    EXPECT_TRUE(memory.contains(left->bytes));
    sum(left->bytes);
    EXPECT_FALSE(parent.salvage());
  }

  channel_memory memory{results_size};
  parent_half parent = memory.parent();
  std::uint32_t index = 0;
};

TEST_F(channel_hostile, the_untouched_answer_is_believed) {
  auto a = parent.read();
  ASSERT_TRUE(a);
  EXPECT_EQ(a->done, 10u);
  EXPECT_EQ(a->bytes.size(), 80u);
  EXPECT_FALSE(parent.corrupt());
}

TEST_F(channel_hostile, more_items_than_were_sent) {
  reply().progress.store(22);
  expect_refused();
}
TEST_F(channel_hostile, the_largest_progress_there_is) {
  reply().progress.store(0xffffffff);
  expect_refused();
}
TEST_F(channel_hostile, an_item_that_still_runs) {
  reply().progress.store(19);
  expect_refused();
}
TEST_F(channel_hostile, fewer_items_than_were_sent_without_leaving) {
  reply().progress.store(18);
  expect_refused();
}
TEST_F(channel_hostile, more_bytes_than_a_slot_has) {
  reply().written.store(inline_size + 1);
  expect_refused();
}
TEST_F(channel_hostile, more_bytes_than_there_are) {
  reply().written.store(~std::uint64_t{0});
  expect_refused();
}
TEST_F(channel_hostile, a_place_that_is_not_a_blocks) {
  reply().place.store(64);
  expect_refused();
}
TEST_F(channel_hostile, a_place_behind_the_results) {
  reply().place.store(results_size + 4096);
  expect_refused();
}
TEST_F(channel_hostile, a_place_that_wraps_around_with_its_size) {
  reply().place.store(~std::uint64_t{4095});
  reply().written.store(8192);
  expect_refused();
}
TEST_F(channel_hostile, a_block_that_reaches_over_the_end) {
  reply().place.store(results_size - 4096);
  reply().written.store(4097);
  expect_refused();
}
TEST_F(channel_hostile, a_block_up_to_the_end_is_fine) {
  reply().place.store(results_size - 4096);
  reply().written.store(4096);
  auto a = parent.read();
  ASSERT_TRUE(a);
  EXPECT_EQ(a->bytes.size(), 4096u);
  sum(a->bytes);
}
TEST_F(channel_hostile, a_slot_full_to_the_end_is_fine) {
  reply().written.store(inline_size);
  auto a = parent.read();
  ASSERT_TRUE(a);
  sum(a->bytes);
}
TEST_F(channel_hostile, an_answer_of_another_turn_is_none) {
  for (std::uint32_t word : {0u, 2u, 0xffffu, 0xffffffffu, 0x10002u}) {
    reply().word.store(word);
    EXPECT_FALSE(parent.ready()) << word;
    EXPECT_FALSE(parent.read());
    EXPECT_FALSE(parent.corrupt()) << "it may still come";
  }
}
TEST_F(channel_hostile, an_answer_nobody_asked_for_is_refused) {
  ASSERT_TRUE(parent.read());
  EXPECT_FALSE(parent.read());
  EXPECT_FALSE(parent.corrupt());
  memory.own().replies[(index + 1) % ring_slots].word.store(lap_of(index + 1));
  EXPECT_FALSE(parent.read());
  EXPECT_TRUE(parent.corrupt()) << "or whoever waits would find it ready again and again";
  EXPECT_FALSE(parent.salvage());
}
TEST_F(channel_hostile, retiring_in_the_middle_is_fine_and_beyond_the_end_is_not) {
  reply().ending = static_cast<std::uint32_t>(reply_ending::retires);
  reply().progress.store(6);
  auto a = parent.read();
  ASSERT_TRUE(a);
  EXPECT_EQ(a->ending, reply_ending::retires);
  EXPECT_EQ(a->done, 3u);
  index = parent.send(message_of(10));
  reply().ending = static_cast<std::uint32_t>(reply_ending::retires);
  reply().progress.store(22);
  reply().written.store(0);
  publish_reply();
  expect_refused();
}

TEST_F(channel_hostile, a_time_that_changes_while_it_is_read) {
  ASSERT_TRUE(parent.read());
  parent.release(index);
  std::atomic<reply_slot*> slot{&reply()};
  std::thread worker([&] {
    std::uint64_t time = 0;
    while (reply_slot* r = slot.load(std::memory_order_relaxed)) r->nanoseconds = time = ~time;
  });
  std::uint64_t longest = 0;
  for (int round = 0; round < 500'000; ++round) {
    index = parent.send(message_of(0));
    slot = &reply();
    publish_reply();
    auto a = parent.read();
    if (a) longest = std::max(longest, a->nanoseconds);
    parent.release(index);
  }
  slot = nullptr;
  worker.join();
  EXPECT_LE(longest, std::uint64_t{1} << 51);
}

// ---- the task's word ----------------------------------------------------------------------------

TEST_F(channel_hostile, a_task_word_of_another_turn) {
  word().store(task_word{lap_of(index) + 1, 0, 10}.bits());
  EXPECT_EQ(parent.take_back(index, 0), 10u);
  EXPECT_TRUE(parent.corrupt());
}
TEST_F(channel_hostile, a_task_word_with_more_items_than_were_sent) {
  word().store(task_word{lap_of(index), 11, 12}.bits());
  EXPECT_EQ(parent.take_back(index, 0), 10u);
  EXPECT_TRUE(parent.corrupt());
}
TEST_F(channel_hostile, a_task_word_that_has_claimed_beyond_its_end) {
  word().store(task_word{lap_of(index), most_items, 5}.bits());
  EXPECT_LE(parent.claimed(index), 10u);
  EXPECT_EQ(parent.take_back(index, 0), 10u);
  EXPECT_TRUE(parent.corrupt());
}
TEST_F(channel_hostile, a_task_word_that_gives_items_back_unasked) {
  for (std::uint32_t end : {0u, 4u}) {
    word().store(task_word{lap_of(index), 0, end}.bits());
    EXPECT_EQ(parent.take_back(index, 5), 10u) << "they may have run";
    EXPECT_TRUE(parent.corrupt());
  }
}
TEST_F(channel_hostile, what_was_taken_back_does_not_come_back) {
  ASSERT_EQ(parent.take_back(index, 4), 4u);
  word().store(task_word{lap_of(index), 0, 10}.bits());
  EXPECT_EQ(parent.take_back(index, 5), 4u);
  // The worker claims to have run them all.
  EXPECT_FALSE(parent.read());
  EXPECT_TRUE(parent.corrupt());
  auto left = parent.salvage();
  ASSERT_TRUE(left);
  EXPECT_LE(left->done, 4u);
  EXPECT_FALSE(left->started);
}

// ---- the rest of the window ---------------------------------------------------------------------

TEST_F(channel_hostile, a_state_that_is_none_is_a_failure) {
  for (std::uint32_t state : {3u, 0x80000000u, 0xffffffffu}) {
    memory.own().state.store(state);
    EXPECT_EQ(parent.state(), worker_state::failed);
  }
}
TEST_F(channel_hostile, a_reason_for_failing_that_lies_nowhere_is_empty) {
  parent_half fresh = memory.parent();
  fresh.prepare(true);
  reply_slot& r = memory.own().replies[0];
  r.written.store(inline_size + 1);
  EXPECT_TRUE(fresh.failure().empty());
  r.place.store(results_size);
  r.written.store(1);
  EXPECT_TRUE(fresh.failure().empty());
  r.place.store(results_size - 4096);
  r.written.store(4096);
  EXPECT_EQ(fresh.failure().size(), 4096u);
  sum(fresh.failure());
}

TEST_F(channel_hostile, the_next_worker_meets_nothing_of_a_window_written_full) {
  for (int fill : {0xff, 0x00, 0x01, 0x5a}) {
    std::memset(static_cast<void*>(&memory.own()), fill, sizeof(window));
    parent.prepare(true);
    worker_half worker = memory.worker();
    worker.report(worker_state::ready);
    EXPECT_EQ(parent.state(), worker_state::ready);
    for (std::uint32_t i = 0; i < 2 * ring_slots; ++i) {
      ASSERT_FALSE(parent.read());
      parent.send(message_of(3));
      auto task = worker.receive(100);
      ASSERT_TRUE(task);
      std::uint32_t from = 0;
      std::uint32_t to = 0;
      while (task->run->claim(from, to))
        for (std::uint32_t k = from; k < to; ++k) step(*task->run, k);
      worker.answer(false);
      auto a = parent.read();
      ASSERT_TRUE(a);
      ASSERT_EQ(a->done, 3u);
      parent.release(a->index);
    }
  }
}

// ---- fuzz ---------------------------------------------------------------------------------------

/// Numbers as an attacker, or a stray memset, would choose them.
class numbers {
 public:
  explicit numbers(std::uint64_t seed) : random_(seed) {}
  std::uint64_t operator()() {
    switch (random_() % 8) {
      case 0:
        return 0;
      case 1:
        return ~std::uint64_t{0} - random_() % 8192;
      case 2:
        return random_() % 32;
      case 3:
        return inline_size - 2 + random_() % 4;
      case 4:
        return results_size - 2 + random_() % 4;
      case 5:
        return 4096 * (random_() % 20);
      case 6:
        return std::uint64_t{1} << random_() % 64;
      default:
        return random_();
    }
  }
  std::uint32_t below(std::uint32_t n) { return static_cast<std::uint32_t>(random_() % n); }

 private:
  std::mt19937_64 random_;
};

TEST(channel_fuzz, the_parent_stays_inside_and_believes_no_more_than_it_sent) {
  std::uint64_t believed = 0;
  std::uint64_t refused = 0;
  channel_memory memory(results_size);
  for (std::uint64_t seed = 0; seed < 400; ++seed) {
    numbers random(seed);
    parent_half parent = memory.parent(static_cast<std::uint32_t>(random()));
    parent.prepare(true);
    std::vector<std::uint32_t> stays(ring_slots);
    std::vector<std::uint32_t> told(ring_slots);
    for (int step = 0; step < 300; ++step) {
      std::uint32_t slot = random.below(4) + parent.first();
      reply_slot& r = memory.own().replies[slot % ring_slots];
      auto& word = memory.own().tasks[slot % ring_slots].word;
      switch (random.below(14)) {
        case 0:
          if (parent.room() > 1) {
            std::uint32_t count = random.below(20);
            message m = message_of(count);
            m.each = random.below(2) != 0;
            const std::uint32_t index = parent.send(m) % ring_slots;
            stays[index] = count;
            told[index] = 0;
          }
          break;
        case 1:
          r.progress.store(static_cast<std::uint32_t>(random()));
          break;
        case 2:
          r.progress.store(2 * random.below(20));
          break;
        case 3:
          r.written.store(random());
          break;
        case 4:
          r.place.store(random());
          break;
        case 5:
          r.ending = static_cast<std::uint32_t>(random.below(4));
          break;
        case 6:
          r.word.store(lap_of(slot));
          break;
        case 7:
          word.store(random());
          break;
        case 8:
          word.store(task_word{lap_of(slot), random.below(25), random.below(25)}.bits());
          break;
        case 9:
          if (parent.unanswered() != 0) {
            std::uint32_t index = parent.first() + random.below(parent.unanswered());
            std::uint32_t& now = stays[index % ring_slots];
            ASSERT_LE(parent.claimed(index), now);
            std::uint32_t kept = parent.take_back(index, random.below(25));
            ASSERT_LE(kept, now);
            now = kept;
          }
          break;
        case 12:
          if (const auto part = parent.partial()) {
            const std::uint32_t index = part->index % ring_slots;
            ASSERT_LE(part->done, stays[index]);
            ASSERT_GT(part->done, told[index]);
            told[index] = part->done;
            ASSERT_TRUE(memory.contains(part->bytes));
            sum(part->bytes);
          }
          break;
        case 10:
          memory.own().state.store(static_cast<std::uint32_t>(random()));
          break;
        case 11: {
          ASSERT_LE(parent.state(), worker_state::failed);
          auto reason = parent.failure();
          ASSERT_TRUE(memory.contains(reason));
          sum(reason);
          break;
        }
        default:
          if (auto a = parent.read()) {
            ASSERT_LE(a->done, stays[a->index % ring_slots]);
            ASSERT_TRUE(a->ending != reply_ending::whole ||
                        a->done == stays[a->index % ring_slots]);
            ASSERT_TRUE(memory.contains(a->bytes));
            sum(a->bytes);
            parent.release(a->index);
            ++believed;
          }
          break;
      }
      ASSERT_LE(parent.unanswered(), ring_slots);
      ASSERT_LE(parent.room(), ring_slots);
      if (!parent.corrupt()) continue;
      ++refused;
      std::uint32_t left = parent.unanswered();
      while (auto a = parent.salvage()) {
        --left;
        ASSERT_LE(a->done + (a->started ? 1u : 0u), stays[a->index % ring_slots]);
        ASSERT_TRUE(memory.contains(a->bytes));
        sum(a->bytes);
      }
      ASSERT_EQ(left, 0u);
      parent.prepare(true);
      ASSERT_FALSE(parent.corrupt());
    }
  }
  EXPECT_GT(believed, 100u);
  EXPECT_GT(refused, 100u);
}

}  // namespace
}  // namespace procpool::shm
