// SPDX-License-Identifier: MIT
// The counters, told things in an order that only a worker that lies brings about.
#include "core/ledger.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>

namespace procpool::core {
namespace {

using namespace std::chrono_literals;

const clock::time_point start = clock::now();

TEST(ledger, what_is_with_nobody_is_queued) {
  ledger l(1);
  l.submitted(10);
  EXPECT_EQ(l.stats(0).queued, 10u);
  EXPECT_EQ(l.stats(4).queued, 6u);
  l.arriving(3);
  EXPECT_EQ(l.stats(1).running, 4u) << "left its worker, not yet counted as ended";
  EXPECT_EQ(l.stats(1).queued, 6u);
  l.arrived(3, 1);
  l.failed(2);
  const pool_stats s = l.stats(0);
  EXPECT_EQ(s.done, 2u);
  EXPECT_EQ(s.failed, 3u);
  EXPECT_EQ(s.queued, 5u);
}

TEST(ledger, a_worker_is_busy_no_longer_than_it_has_been_there) {
  ledger l(1);
  l.up(0, start);
  l.answered(0, 1, 1'000, start + 5us);
  EXPECT_EQ(l.of(0).busy, 1us);
  l.answered(0, 1, UINT64_MAX, start + 10us);
  EXPECT_EQ(l.of(0).busy, 10us);
  l.answered(0, 1, UINT64_MAX, start + 10us);
  l.answered(0, 1, 1, start);
  EXPECT_EQ(l.of(0).busy, 10us);
  EXPECT_EQ(l.of(0).answered, 4u);
}

TEST(ledger, the_pools_account_outlives_the_worker) {
  ledger l(2);
  for (const worker_id w : {0u, 1u}) {
    l.up(w, start);
    l.answered(w, 1, 2'000, start + 1ms);
  }
  l.died(0);
  l.left(1, true);
  l.up(1, start + 2ms);
  EXPECT_EQ(l.of(1).answered, 0u);
  l.left(1, false);
  const pool_stats s = l.stats(0);
  EXPECT_EQ(s.busy, 4us);
  EXPECT_EQ(s.started, 3u);
  EXPECT_EQ(s.died, 1u);
  EXPECT_EQ(s.recycled, 1u);
}

}  // namespace
}  // namespace procpool::core
