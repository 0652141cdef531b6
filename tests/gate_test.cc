// SPDX-License-Identifier: MIT
// The gate of a channel: what runs when it closes is exact, and nothing begins until it opens.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <optional>
#include <random>
#include <thread>

#include "base/monotonic.h"
#include "base/sys.h"
#include "channel_fixture.h"

namespace procpool::shm {
namespace {

constexpr std::uint32_t no_quota = ~std::uint32_t{0};

class gate_test : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(sys::get_membarriers(), 0);  // both halves are this process
    parent.prepare(false);
  }
  static message timed(std::uint32_t count) {
    message m = message_of(count);
    m.timed = true;
    return m;
  }

  channel_memory memory;
  parent_half parent = memory.parent();
};

TEST_F(gate_test, tells_what_a_worker_is_at) {
  EXPECT_FALSE(parent.look());
  worker_half worker = memory.worker();
  const std::uint32_t index = parent.send(message_of(3));
  const auto sent = parent.look();
  ASSERT_TRUE(sent);
  EXPECT_EQ(sent->index, index);
  EXPECT_FALSE(sent->running);
  auto task = worker.receive(no_quota);
  std::uint32_t from = 0;
  std::uint32_t to = 0;
  ASSERT_TRUE(task->run->claim(from, to));
  EXPECT_TRUE(task->run->starts(0));
  EXPECT_TRUE(parent.look()->running);
  EXPECT_EQ(parent.look()->item, 0u);
  task->run->finished(0);
  EXPECT_FALSE(parent.look()->running);
  EXPECT_EQ(parent.look()->item, 1u);
}

TEST_F(gate_test, a_timed_item_says_when_it_began) {
  worker_half worker = memory.worker();
  parent.send(timed(1));
  auto task = worker.receive(no_quota);
  const std::uint64_t before = base::monotonic();
  EXPECT_TRUE(task->run->starts(0));
  EXPECT_GE(parent.look()->since, before);
  EXPECT_LE(parent.look()->since, base::monotonic());
}

TEST_F(gate_test, nothing_begins_behind_it_and_the_rest_comes_back) {
  worker_half worker = memory.worker();
  const std::uint32_t index = parent.send(message_of(4));
  auto task = worker.receive(no_quota);
  std::uint32_t from = 0;
  std::uint32_t to = 0;
  ASSERT_TRUE(task->run->claim(from, to));
  EXPECT_TRUE(task->run->starts(0));
  const auto at = parent.close_gate();
  ASSERT_TRUE(at);
  EXPECT_EQ(at->index, index);
  EXPECT_EQ(at->item, 0u);
  EXPECT_TRUE(at->running);
  EXPECT_TRUE(parent.gate_is_closed());
  task->run->finished(0);
  while (to == 1 && !task->run->claim(from, to)) {
  }
  EXPECT_FALSE(task->run->starts(1));
  EXPECT_TRUE(task->run->stopped());
  EXPECT_EQ(worker.taken(), 1u);
  worker.answer(false);
  const auto a = parent.read();
  ASSERT_TRUE(a);
  EXPECT_EQ(a->done, 1u);
  EXPECT_EQ(a->ending, reply_ending::stopped);
  EXPECT_FALSE(parent.corrupt());
}

TEST_F(gate_test, no_task_is_taken_while_it_is_closed) {
  std::atomic<bool> took{false};
  EXPECT_FALSE(parent.close_gate());
  parent.send(message_of(1));
  parent.wake();
  std::thread other([&] {
    worker_half worker = memory.worker();
    auto task = worker.receive(no_quota);
    took = true;
    std::uint32_t from = 0;
    std::uint32_t to = 0;
    while (task->run->claim(from, to)) step(*task->run, from);
    worker.answer(false);
  });
  // It sleeps before the gate; what would let it pass is the bug.
  while (memory.own().asleep.load() == 0) std::this_thread::yield();
  EXPECT_FALSE(took);
  parent.open_gate();
  other.join();
  EXPECT_TRUE(parent.read());
}

TEST_F(gate_test, a_worker_that_stops_by_itself_is_not_believed) {
  worker_half worker = memory.worker();
  parent.send(message_of(4));
  auto task = worker.receive(no_quota);
  std::uint32_t from = 0;
  std::uint32_t to = 0;
  ASSERT_TRUE(task->run->claim(from, to));
  step(*task->run, 0);
  worker.answer(false);
  memory.own().replies[0].ending = static_cast<std::uint32_t>(reply_ending::stopped);
  EXPECT_FALSE(parent.read());
  EXPECT_TRUE(parent.corrupt());
}

TEST_F(gate_test, asking_is_taken_back_when_it_opens) {
  auto& asked = memory.own().asked;
  parent.close_gate();
  EXPECT_EQ(asked % 2, 0u);
  parent.ask();
  parent.ask();
  EXPECT_EQ(asked % 2, 1u);
  parent.open_gate();
  EXPECT_EQ(asked % 2, 0u);
  parent.close_gate();
  parent.ask();
  parent.prepare(true);
  EXPECT_EQ(asked % 2, 0u) << "the next worker has not been asked";
  EXPECT_FALSE(parent.gate_is_closed());
}

// A worker runs through short items while the gate closes and opens: whenever it is closed, the
// item that was told to run is the only one that may be running, and none begins.
TEST_F(gate_test, what_it_tells_is_exact) {
  constexpr std::uint32_t items = 64;
  std::atomic<std::uint64_t> runs{0};  // index of the task << 32 | item, + 1; 0: none
  std::thread other([&] {
    worker_half worker = memory.worker();
    std::uint32_t at = 0;
    for (;;) {
      auto task = worker.receive(no_quota);
      if (!task) return;
      std::uint32_t from = 0;
      std::uint32_t to = 0;
      bool stopped = false;
      while (!stopped && task->run->claim(from, to)) {
        for (std::uint32_t k = from; k < to; ++k) {
          if (!task->run->starts(k)) {
            stopped = true;
            break;
          }
          const std::uint64_t me = std::uint64_t{at} << 32 | k;
          runs.store(me + 1);
          for (int i = 0; i < 50; ++i) relax();
          runs.store(0);
          task->run->finished(k);
        }
      }
      worker.answer(false);
      ++at;
    }
  });
  std::minstd_rand random(1);
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  std::uint32_t stops = 0;
  while (stops < 500 && std::chrono::steady_clock::now() < until) {
    while (parent.room() > 8 && parent.unanswered() < 4) parent.send(message_of(items));
    parent.wake();
    for (std::uint32_t i = random() % 300; i-- > 0;) relax();
    const auto at = parent.close_gate();
    if (at && at->running) {
      ++stops;
      const std::uint64_t told = std::uint64_t{at->index} << 32 | at->item;
      for (int i = 0; i < 100; ++i) {
        const std::uint64_t now = runs.load();
        ASSERT_TRUE(now == 0 || now == told + 1) << now << " and not " << told;
        relax();
      }
    }
    parent.open_gate();
    while (auto a = parent.read()) parent.release(a->index);
    ASSERT_FALSE(parent.corrupt());
  }
  parent.send_leave();
  parent.wake();
  other.join();
  EXPECT_EQ(stops, 500u);
}

}  // namespace
}  // namespace procpool::shm
