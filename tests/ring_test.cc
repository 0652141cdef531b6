// SPDX-License-Identifier: MIT
// The protocol of a task's word, by its steps and with a thread on each end.
#include "shm/ring.h"

#include <gtest/gtest.h>

#include <atomic>
#include <random>
#include <thread>
#include <vector>

namespace procpool::shm {
namespace {

using word = std::atomic<std::uint64_t>;

task_word look(const word& w) { return task_word::from(w.load()); }

TEST(lap, is_never_that_of_a_zeroed_word) {
  EXPECT_EQ(lap_of(0), 1u);
  EXPECT_EQ(lap_of(ring_slots - 1), 1u);
  EXPECT_EQ(lap_of(ring_slots), 2u);
  for (std::uint64_t turn = 0; turn < (std::uint64_t{1} << 32) / ring_slots; turn += 1)
    ASSERT_NE(lap_of(static_cast<std::uint32_t>(turn * ring_slots)), 0u) << "turn " << turn;
  const word zeroed{0};
  EXPECT_FALSE(published(zeroed, 0));
}

TEST(lap, fits_its_sixteen_bits_and_comes_again_after_all_others) {
  constexpr std::uint32_t laps = 0xffff;
  EXPECT_EQ(lap_of(ring_slots * (laps - 1)), laps);
  EXPECT_EQ(lap_of(ring_slots * laps), 1u);
  EXPECT_EQ(lap_of(ring_slots * (laps + 1)), 2u);
  for (std::uint32_t turn = 0; turn < 3 * laps; ++turn) ASSERT_LE(lap_of(turn * ring_slots), laps);
}

// A slot holds the word of the turn before until it is published again: that must not look like
// news, wherever the index or the lap wraps.
TEST(lap, differs_from_the_one_before_at_every_wrap) {
  std::uint32_t index = 0;
  do {
    ASSERT_NE(lap_of(index), lap_of(index - ring_slots)) << "index " << index;
    index += ring_slots;
  } while (index != 0);
}

TEST(task_word, takes_all_values_there_and_back) {
  for (std::uint32_t lap : {1u, 2u, 0xffffu})
    for (std::uint32_t next : {0u, 1u, most_items})
      for (std::uint32_t end : {0u, 1u, most_items}) {
        task_word w = task_word::from(task_word{lap, next, end}.bits());
        EXPECT_EQ(w.lap, lap);
        EXPECT_EQ(w.next, next);
        EXPECT_EQ(w.end, end);
      }
}

TEST(task_word, is_published_for_its_turn_alone) {
  word w{0};
  publish(w, 5, 10);
  EXPECT_TRUE(published(w, 5));
  EXPECT_FALSE(published(w, 5 + ring_slots));
  EXPECT_FALSE(published(w, 5 - ring_slots));
  EXPECT_EQ(look(w).next, 0u);
  EXPECT_EQ(look(w).end, 10u);
}

TEST(claim, takes_from_the_front_until_none_is_left) {
  word w{0};
  publish(w, 0, 10);
  std::uint32_t from = 99;
  EXPECT_EQ(claim(w, 4, from), 4u);
  EXPECT_EQ(from, 0u);
  EXPECT_EQ(claim(w, 4, from), 4u);
  EXPECT_EQ(from, 4u);
  EXPECT_EQ(claim(w, 4, from), 2u);
  EXPECT_EQ(from, 8u);
  EXPECT_EQ(claim(w, 4, from), 0u);
  EXPECT_TRUE(published(w, 0));
}

TEST(claim, of_nothing_claims_nothing) {
  word w{0};
  std::uint32_t from = 0;
  publish(w, 0, 10);
  EXPECT_EQ(claim(w, 0, from), 0u);
  publish(w, 0, 0);
  EXPECT_EQ(claim(w, 1, from), 0u);
  w.store(task_word{1, 8, 3}.bits());  // no good word
  EXPECT_EQ(claim(w, 1, from), 0u);
}

TEST(claim, of_the_largest_task) {
  word w{0};
  std::uint32_t from = 0;
  publish(w, 0xffffffff, most_items);
  EXPECT_TRUE(published(w, 0xffffffff));
  EXPECT_EQ(claim(w, most_items, from), most_items);
  EXPECT_EQ(claim(w, most_items, from), 0u);
  EXPECT_TRUE(published(w, 0xffffffff)) << "counting has spilled into the lap";
}

TEST(take_back, leaves_what_was_asked_to_stay) {
  word w{0};
  publish(w, 0, 10);
  EXPECT_EQ(take_back(w, 6).end, 6u);
  EXPECT_EQ(take_back(w, 8).end, 6u) << "nothing is given out again";
  std::uint32_t from = 0;
  EXPECT_EQ(claim(w, 100, from), 6u);
}

TEST(take_back, leaves_what_was_claimed) {
  word w{0};
  publish(w, 0, 10);
  std::uint32_t from = 0;
  ASSERT_EQ(claim(w, 7, from), 7u);
  task_word after = take_back(w, 0);
  EXPECT_EQ(after.next, 7u);
  EXPECT_EQ(after.end, 7u);
  EXPECT_EQ(claim(w, 1, from), 0u);
}

// Each item goes to exactly one of the two, whatever meets whatever.
TEST(claim_against_take_back, every_item_is_accounted_once) {
  constexpr std::uint32_t rounds = 60'000;
  constexpr std::uint32_t most = 40;
  word w{0};
  std::atomic<std::uint32_t> answered{0};  // rounds that the worker is done with
  std::vector<std::uint32_t> by_worker(rounds);
  std::thread worker([&] {
    std::minstd_rand random(1);
    for (std::uint32_t i = 0; i < rounds; ++i) {
      while (!published(w, i * ring_slots)) std::this_thread::yield();
      std::uint32_t from = 0;
      std::uint32_t expected = 0;
      while (std::uint32_t n = claim(w, 1 + static_cast<std::uint32_t>(random() % 4), from)) {
        EXPECT_EQ(from, expected) << "claims are without gaps";
        expected = from + n;
      }
      by_worker[i] = expected;
      answered.store(i + 1, std::memory_order_release);
    }
  });
  std::minstd_rand random(2);
  for (std::uint32_t i = 0; i < rounds; ++i) {
    auto count = static_cast<std::uint32_t>(random() % most);
    publish(w, i * ring_slots, count);
    std::uint32_t stays = count;
    while (answered.load(std::memory_order_acquire) != i + 1) {
      if (random() % 2 == 0) {
        std::uint32_t keep = static_cast<std::uint32_t>(random() % most);
        task_word after = take_back(w, keep);
        EXPECT_LE(after.end, stays) << "what was taken back has come back";
        EXPECT_LE(after.next, after.end);
        stays = after.end;
      } else {
        std::this_thread::yield();
      }
    }
    EXPECT_EQ(by_worker[i], stays) << "round " << i;
  }
  worker.join();
}

}  // namespace
}  // namespace procpool::shm
