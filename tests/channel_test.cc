// SPDX-License-Identifier: MIT
// Both halves of a channel that keep to the protocol: what is sent arrives, what is answered is
// read, each item has one fate. What a hostile worker does stands in channel_hostile_test.cc.
#include "shm/channel.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <memory>
#include <random>
#include <thread>
#include <vector>

#include "base/memory_watch.h"
#include "base/monotonic.h"
#include "channel_fixture.h"

namespace procpool::shm {
namespace {

constexpr std::uint32_t no_quota = 1u << 30;

std::vector<std::byte> bytes_of(std::uint64_t value) {
  std::vector<std::byte> all(sizeof value);
  std::memcpy(all.data(), &value, sizeof value);
  return all;
}
std::uint64_t number_in(std::span<const std::byte> bytes) {
  std::uint64_t value = 0;
  EXPECT_GE(bytes.size(), sizeof value);
  std::memcpy(&value, bytes.data(), std::min(bytes.size(), sizeof value));
  return value;
}

/// Runs every item of a task that can be claimed; the reply is one number for each: the parcel's +
/// k, `times` over.
std::uint32_t run_items(detail::task_run& run, std::size_t times = 1) {
  std::uint64_t base = number_in(run.parcel());
  std::uint32_t from = 0;
  std::uint32_t to = 0;
  std::uint32_t ran = 0;
  while (run.claim(from, to)) {
    for (std::uint32_t k = from; k < to; ++k, ++ran) {
      EXPECT_TRUE(run.starts(k));
      std::uint64_t value = base + k;
      for (std::size_t i = 0; i < times; ++i) run.out().raw(&value, sizeof value);
      run.finished(k);
    }
  }
  return ran;
}

class channel_test : public ::testing::Test {
 protected:
  void SetUp() override { parent.prepare(false); }
  std::uint32_t send(std::uint32_t count, std::uint64_t base = 0) {
    return parent.send(message_of(count, bytes_of(base)));
  }

  channel_memory memory;
  parent_half parent = memory.parent();
};

TEST_F(channel_test, a_task_arrives_as_it_was_sent_and_its_answer_comes_back) {
  worker_half worker = memory.worker();
  std::uint32_t index = parent.send({11, 22, 33, 7, 3, bytes_of(100), in_slot});
  EXPECT_FALSE(parent.ready());
  EXPECT_EQ(parent.unanswered(), 1u);
  auto task = worker.receive(no_quota);
  ASSERT_TRUE(task);
  EXPECT_EQ(task->module, 11u);
  EXPECT_EQ(task->offset, 22u);
  EXPECT_EQ(task->type, 33u);
  EXPECT_EQ(task->run->first(), 7u);
  EXPECT_EQ(task->run->count(), 3u);
  EXPECT_EQ(run_items(*task->run), 3u);
  EXPECT_EQ(worker.taken(), 3u);
  EXPECT_FALSE(parent.ready());
  EXPECT_FALSE(parent.read());
  worker.answer(false);
  EXPECT_TRUE(parent.ready());
  auto a = parent.read();
  ASSERT_TRUE(a);
  EXPECT_EQ(a->index, index);
  EXPECT_EQ(a->done, 3u);
  EXPECT_FALSE(a->started);
  EXPECT_EQ(a->ending, reply_ending::whole);
  ASSERT_EQ(a->bytes.size(), 24u);
  EXPECT_EQ(number_in(a->bytes.subspan(16)), 102u);
  EXPECT_FALSE(parent.read());
  EXPECT_EQ(parent.unanswered(), 0u);
}

TEST_F(channel_test, a_large_parcel_is_read_where_it_lies) {
  worker_half worker = memory.worker();
  std::memcpy(memory.parcels() + 512, bytes_of(42).data(), 8);
  parent.send({1, 2, 3, 0, 1, {memory.parcels() + 512, 8}, 512});
  auto task = worker.receive(no_quota);
  ASSERT_TRUE(task);
  EXPECT_EQ(task->run->parcel().data(), memory.parcels() + 512);
  EXPECT_EQ(number_in(task->run->parcel()), 42u);
}

// What being woken takes is known by that.
TEST_F(channel_test, who_wakes_the_other_says_when) {
  parent.send(message_of(1));
  parent.wake();
  EXPECT_EQ(memory.own().woke_worker, 0u);  // it did not sleep
  memory.own().asleep = 1;
  auto before = base::monotonic();
  parent.wake();
  EXPECT_GE(memory.own().woke_worker, before);
  EXPECT_LE(memory.own().woke_worker, base::monotonic());

  worker_half worker = memory.worker();
  worker.receive(no_quota);
  worker.answer(false);
  EXPECT_EQ(parent.woke_parent(), 0u);  // nor did that
  parent.send(message_of(1));
  memory.head().bell = 1;
  worker.receive(no_quota);
  before = base::monotonic();
  worker.answer(false);
  EXPECT_GE(parent.woke_parent(), before);
  EXPECT_LE(parent.woke_parent(), base::monotonic());
}

TEST_F(channel_test, the_leave_message_ends_it) {
  worker_half worker = memory.worker();
  parent.send_leave();
  EXPECT_FALSE(worker.receive(no_quota));
}

TEST_F(channel_test,
       has_room_for_as_many_tasks_as_there_are_slots_until_they_are_released_in_any_order) {
  worker_half worker = memory.worker();
  ASSERT_EQ(parent.room(), ring_slots);
  for (std::uint32_t i = 0; i < ring_slots; ++i) send(1, i);
  EXPECT_EQ(parent.room(), 0u);
  std::vector<std::uint32_t> read;
  for (std::uint32_t i = 0; i < 4; ++i) {
    auto task = worker.receive(no_quota);
    run_items(*task->run);
    worker.answer(false);
    read.push_back(parent.read()->index);
  }
  EXPECT_EQ(parent.room(), 0u) << "their bytes are still looked at";
  parent.release(read[1]);
  parent.release(read[3]);
  EXPECT_EQ(parent.room(), 0u) << "the oldest is not free";
  parent.release(read[0]);
  EXPECT_EQ(parent.room(), 2u);
  parent.release(read[2]);
  EXPECT_EQ(parent.room(), 4u);
}

TEST_F(channel_test, the_quota_bounds_what_is_claimed_and_the_rest_is_the_parents) {
  worker_half worker = memory.worker();
  send(10, 5);
  auto task = worker.receive(4);
  EXPECT_EQ(run_items(*task->run), 4u);
  EXPECT_EQ(worker.taken(), 4u);
  worker.answer(true);
  auto a = parent.read();
  ASSERT_TRUE(a);
  EXPECT_EQ(a->done, 4u);
  EXPECT_EQ(a->ending, reply_ending::retires);
  EXPECT_EQ(a->bytes.size(), 32u);
}

TEST_F(channel_test, with_too_much_memory_a_worker_claims_no_second_time_and_retires) {
  worker_half worker = memory.worker();
  worker.watch(std::make_unique<base::memory_watch>(1));
  send(10, 5);
  auto task = worker.receive(no_quota);
  EXPECT_EQ(run_items(*task->run), 1u);
  EXPECT_EQ(worker.taken(), 1u);
  EXPECT_TRUE(worker.answer(false));
  auto a = parent.read();
  ASSERT_TRUE(a);
  EXPECT_EQ(a->done, 1u);
  EXPECT_EQ(a->ending, reply_ending::retires);
}

TEST_F(channel_test, with_too_much_memory_a_worker_that_ran_nothing_stays) {
  worker_half worker = memory.worker();
  worker.watch(std::make_unique<base::memory_watch>(1));
  EXPECT_EQ(parent.take_back(send(10), 0), 0u);
  auto task = worker.receive(no_quota);
  EXPECT_EQ(run_items(*task->run), 0u);
  EXPECT_FALSE(worker.answer(false));
}

TEST_F(channel_test, with_as_much_memory_as_it_may_have_a_worker_goes_on) {
  worker_half worker = memory.worker();
  worker.watch(std::make_unique<base::memory_watch>(std::size_t{1} << 50));
  send(10, 5);
  auto task = worker.receive(no_quota);
  EXPECT_EQ(run_items(*task->run), 10u);
  EXPECT_FALSE(worker.answer(false));
  EXPECT_EQ(parent.read()->ending, reply_ending::whole);
}

TEST_F(channel_test, what_is_taken_back_does_not_run) {
  worker_half worker = memory.worker();
  std::uint32_t first = send(10);
  std::uint32_t second = send(10);
  EXPECT_EQ(parent.take_back(second, 0), 0u);
  EXPECT_EQ(parent.take_back(second, 5), 0u) << "nothing comes back";
  auto task = worker.receive(no_quota);
  std::uint32_t from = 0;
  std::uint32_t to = 0;
  ASSERT_TRUE(task->run->claim(from, to));
  EXPECT_EQ(parent.claimed(first), to);
  EXPECT_EQ(parent.take_back(first, 6), 6u);
  EXPECT_EQ(parent.take_back(first, 8), 6u);
  for (std::uint32_t k = from; k < to; ++k) step(*task->run, k);
  while (task->run->claim(from, to))
    for (std::uint32_t k = from; k < to; ++k) step(*task->run, k);
  EXPECT_EQ(worker.taken(), 6u);
  worker.answer(false);
  ASSERT_EQ(parent.read()->done, 6u);
  task = worker.receive(no_quota);
  EXPECT_FALSE(task->run->claim(from, to));
  worker.answer(false);
  auto a = parent.read();
  ASSERT_TRUE(a);
  EXPECT_EQ(a->done, 0u);
  EXPECT_FALSE(parent.corrupt());
}

TEST_F(channel_test, a_reply_that_outgrows_its_slot_lies_in_a_block_until_it_is_released) {
  worker_half worker = memory.worker();
  std::vector<answer> answers;
  for (std::uint64_t i = 0; i < 3; ++i) {
    send(2, 10 * i);
    auto task = worker.receive(no_quota);
    run_items(*task->run, 1000);
    worker.answer(false);
    answers.push_back(*parent.read());
  }
  for (std::uint64_t i = 0; i < 3; ++i) {
    const answer& a = answers[i];
    ASSERT_EQ(a.bytes.size(), 16000u);
    EXPECT_GE(a.bytes.data(), memory.results());
    EXPECT_EQ(number_in(a.bytes), 10 * i) << "overwritten by a later one";
    EXPECT_EQ(number_in(a.bytes.last(8)), 10 * i + 1);
  }
}

TEST_F(channel_test, blocks_are_used_again_once_released) {
  worker_half worker = memory.worker();
  // A hundred times what the results hold.
  for (std::uint64_t i = 0; i < 1600; ++i) {
    send(1, i);
    auto task = worker.receive(no_quota);
    ASSERT_EQ(run_items(*task->run, 8192), 1u);
    worker.answer(false);
    auto a = parent.read();
    ASSERT_TRUE(a);
    ASSERT_EQ(a->bytes.size(), 65536u);
    ASSERT_EQ(number_in(a->bytes.last(8)), i);
    parent.release(a->index);
  }
}

TEST_F(channel_test, results_that_are_full_are_bad_alloc_in_the_worker_and_harm_nothing) {
  worker_half worker = memory.worker();
  send(2);
  auto task = worker.receive(no_quota);
  std::uint32_t from = 0;
  std::uint32_t to = 0;
  ASSERT_TRUE(task->run->claim(from, to));
  EXPECT_TRUE(task->run->starts(0));
  std::uint64_t value = 77;
  task->run->out().raw(&value, sizeof value);
  EXPECT_THROW(task->run->out().extend(2 << 20), std::bad_alloc);
  task->run->finished(0);
  while (task->run->claim(from, to)) step(*task->run, from);
  worker.answer(false);
  auto a = parent.read();
  ASSERT_TRUE(a);
  EXPECT_EQ(a->done, 2u);
  EXPECT_EQ(number_in(a->bytes), 77u);
}

// ---- a death ------------------------------------------------------------------------------------

TEST_F(channel_test, what_a_dead_worker_left_is_read_in_order_and_tells_who_is_to_blame) {
  {
    worker_half worker = memory.worker();
    send(1, 1);
    send(5, 10);
    send(3, 20);
    auto task = worker.receive(no_quota);
    run_items(*task->run);
    worker.answer(false);
    task = worker.receive(no_quota);
    std::uint32_t from = 0;
    std::uint32_t to = 0;
    for (std::uint32_t k = 0; k < 3; ++k) {
      if (k == 0 || k == to) {
        ASSERT_TRUE(task->run->claim(from, to));
      }
      EXPECT_TRUE(task->run->starts(k));
      if (k == 2) break;  // it dies in the third
      std::uint64_t value = 10 + k;
      task->run->out().raw(&value, sizeof value);
      task->run->finished(k);
    }
    std::uint64_t half = 0;
    task->run->out().raw(&half, sizeof half);  // written, and not published
  }
  auto whole = parent.read();
  ASSERT_TRUE(whole);
  EXPECT_EQ(whole->done, 1u);
  EXPECT_FALSE(parent.read());
  auto left = parent.salvage();
  ASSERT_TRUE(left);
  EXPECT_EQ(left->done, 2u);
  EXPECT_TRUE(left->started);
  ASSERT_EQ(left->bytes.size(), 16u) << "what belongs to the finished items, no more";
  EXPECT_EQ(number_in(left->bytes.last(8)), 11u);
  left = parent.salvage();
  ASSERT_TRUE(left);
  EXPECT_EQ(left->done, 0u);
  EXPECT_FALSE(left->started);
  EXPECT_TRUE(left->bytes.empty());
  EXPECT_FALSE(parent.salvage());
  EXPECT_FALSE(parent.corrupt());
}

TEST_F(channel_test, the_next_worker_begins_where_the_last_one_ended) {
  for (bool suspicious : {false, true}) {
    for (std::uint64_t life = 0; life < 5; ++life) {
      parent.prepare(suspicious);
      EXPECT_EQ(parent.state(), worker_state::starting);
      worker_half worker = memory.worker();
      worker.report(worker_state::ready);
      EXPECT_EQ(parent.state(), worker_state::ready);
      EXPECT_EQ(parent.room(), ring_slots);
      for (std::uint64_t i = 0; i < 100; ++i) send(1, 1000 * life + i);
      for (std::uint64_t i = 0; i < 50; ++i) {
        auto task = worker.receive(no_quota);
        EXPECT_EQ(number_in(task->run->parcel()), 1000 * life + i) << "a task of another life";
        run_items(*task->run);
        worker.answer(false);
      }
      std::uint64_t read = 0;
      while (auto a = parent.read()) EXPECT_EQ(number_in(a->bytes), 1000 * life + read++);
      EXPECT_EQ(read, 50u);
      while (parent.salvage()) ++read;
      EXPECT_EQ(read, 100u);
    }
  }
}

TEST_F(channel_test, why_a_worker_could_not_start_is_told_however_long_it_is) {
  for (std::size_t size :
       {std::size_t{0}, std::size_t{10}, inline_size, inline_size + 1, std::size_t{100'000}}) {
    parent.prepare(true);
    worker_half worker = memory.worker();
    std::vector<std::byte> reason(size, std::byte{0x5a});
    worker.failure().raw(reason.data(), reason.size());
    worker.report(worker_state::failed);
    ASSERT_EQ(parent.state(), worker_state::failed);
    auto told = parent.failure();
    EXPECT_TRUE(std::equal(told.begin(), told.end(), reason.begin(), reason.end())) << size;
  }
}

// ---- where numbers wrap -------------------------------------------------------------------------

class channel_wrap : public ::testing::TestWithParam<std::uint32_t> {};

TEST_P(channel_wrap, goes_on_as_if_nothing_were) {
  channel_memory memory;
  parent_half parent = memory.parent(GetParam());
  parent.prepare(false);
  worker_half worker = memory.worker();
  std::uint32_t begin = GetParam();
  for (std::uint64_t i = 0; i < 3 * ring_slots; ++i) {
    ASSERT_FALSE(parent.ready()) << "nothing was sent, at " << begin + i;
    ASSERT_EQ(parent.send(message_of(2, bytes_of(i))), static_cast<std::uint32_t>(begin + i));
    ASSERT_FALSE(parent.ready()) << "nothing was answered, at " << begin + i;
    ASSERT_FALSE(parent.read());
    auto task = worker.receive(no_quota);
    ASSERT_TRUE(task);
    run_items(*task->run, i % 3 == 0 ? 100 : 1);
    worker.answer(false);
    ASSERT_TRUE(parent.ready()) << "at " << begin + i;
    auto a = parent.read();
    ASSERT_TRUE(a);
    ASSERT_EQ(a->done, 2u);
    ASSERT_EQ(number_in(a->bytes), i);
    parent.release(a->index);
    ASSERT_EQ(parent.room(), ring_slots);
  }
}

// The lap's sixteen bits end at 65535 turns, the index's 32 at 2^24.
INSTANTIATE_TEST_SUITE_P(at, channel_wrap,
                         ::testing::Values(0u, 65534u * ring_slots, 0xffffffffu - ring_slots,
                                           0xffffffffu, 0xfffffff0u));

TEST(channel_wrap_full, a_full_ring_over_the_end_of_the_numbers) {
  channel_memory memory;
  parent_half parent = memory.parent(0xffffffffu - 100);
  parent.prepare(true);
  worker_half worker = memory.worker();
  for (std::uint64_t i = 0; i < ring_slots; ++i) parent.send(message_of(1, bytes_of(i)));
  EXPECT_EQ(parent.room(), 0u);
  EXPECT_EQ(parent.unanswered(), ring_slots);
  for (std::uint64_t i = 0; i < ring_slots; ++i) {
    auto task = worker.receive(no_quota);
    run_items(*task->run);
    worker.answer(false);
  }
  for (std::uint64_t i = 0; i < ring_slots; ++i) {
    auto a = parent.read();
    ASSERT_TRUE(a) << i;
    EXPECT_EQ(number_in(a->bytes), i);
    parent.release(a->index);
  }
  EXPECT_EQ(parent.room(), ring_slots);
}

// ---- two threads --------------------------------------------------------------------------------

// Each item is answered by the worker or taken back by the parent, never both, never neither.
TEST(channel_threads, every_item_has_one_fate) {
  constexpr std::uint64_t tasks = 100'000;
  constexpr std::uint32_t most = 30;
  channel_memory memory;
  parent_half parent = memory.parent();
  parent.prepare(false);
  worker_half half = memory.worker();
  std::thread worker([&] {
    for (std::uint64_t i = 0; auto task = half.receive(no_quota); ++i) {
      run_items(*task->run, i % 64 == 0 ? 50 : 1);  // now and then a block
      half.answer(false);
    }
  });

  std::minstd_rand random(7);
  std::vector<std::uint32_t> stays(ring_slots);  // by slot
  std::vector<std::uint64_t> base(ring_slots);
  std::uint64_t sent = 0;
  std::uint64_t read = 0;
  std::uint64_t items = 0;
  std::uint64_t answered = 0;
  std::uint64_t taken = 0;
  bool good = true;
  while (read < tasks && good) {
    while (sent < tasks && parent.room() > 1 && random() % 8 != 0) {
      auto count = static_cast<std::uint32_t>(random() % most);
      std::uint32_t i = parent.send(message_of(count, bytes_of(items))) % ring_slots;
      stays[i] = count;
      base[i] = items;
      items += count;
      ++sent;
    }
    parent.wake();
    if (parent.unanswered() != 0) {
      std::uint32_t index =
          parent.first() + static_cast<std::uint32_t>(random()) % parent.unanswered();
      std::uint32_t& now = stays[index % ring_slots];
      std::uint32_t kept = parent.take_back(index, static_cast<std::uint32_t>(random() % most));
      good = good && kept <= now;
      taken += now - kept;
      now = kept;
    }
    while (auto a = parent.read()) {
      std::uint32_t i = a->index % ring_slots;
      good = good && a->done == stays[i] && a->bytes.size() % 8 == 0;
      if (a->done != 0) {
        std::size_t each = a->bytes.size() / a->done;
        for (std::uint32_t k = 0; k < a->done; ++k)
          good = good && number_in(a->bytes.subspan(k * each)) == base[i] + k;
      }
      answered += a->done;
      ++read;
      parent.release(a->index);
    }
    good = good && !parent.corrupt();
  }
  parent.send_leave();
  parent.wake();
  worker.join();
  EXPECT_TRUE(good);
  EXPECT_EQ(read, tasks);
  EXPECT_EQ(answered + taken, items);
  EXPECT_GT(answered, 0u);
  EXPECT_GT(taken, 0u);
}

// A worker that sleeps is woken by every task, however the two meet.
TEST(channel_threads, no_wake_up_is_lost) {
  channel_memory memory;
  parent_half parent = memory.parent();
  parent.prepare(false);
  worker_half half = memory.worker();
  std::thread worker([&] {
    while (auto task = half.receive(no_quota)) {
      run_items(*task->run);
      half.answer(false);
    }
  });
  for (std::uint64_t i = 0; i < 5'000; ++i) {
    parent.send(message_of(1, bytes_of(i)));
    parent.wake();
    while (!parent.ready()) std::this_thread::yield();
    auto a = parent.read();
    parent.release(a->index);
  }
  parent.send_leave();
  parent.wake();
  worker.join();
  EXPECT_EQ(parent.unanswered(), 1u);
}

}  // namespace
}  // namespace procpool::shm
