// SPDX-License-Identifier: MIT
// The contract of retries: what is run again, how often, and what comes of an item that never ends
// well. Side effects are counted on a board: the numbers are exact.
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <exception>
#include <stdexcept>
#include <vector>

#include "procpool/procpool.h"
#include "support/board.h"
#include "support/methods.h"
#include "support/tasks.h"

namespace {

using namespace procpool::testing;  // NOLINT(google-build-using-namespace)
using namespace std::chrono_literals;
using procpool::pool;
using procpool::retry_on;
using procpool::task_timeout;
using procpool::worker_died;

class retries : public pool_test {};
PROCPOOL_PROCESS_METHODS(retries);

constexpr std::size_t begun = 100;  // + x: how often item x has begun

/// Item x dies in its first `deaths` runs when it is divisible by ten.
auto dies_at_first(const board& b, int deaths) {
  return [m = b.here(), deaths](int x) {
    const auto at = begun + static_cast<std::size_t>(x);
    m.add(at);
    if (x % 10 == 0 && m.at(at) <= deaths) ::raise(SIGKILL);
    return x;
  };
}
/// The same, but it hangs.
auto hangs_at_first(const board& b, int times) {
  return [m = b.here(), times](int x) {
    const auto at = begun + static_cast<std::size_t>(x);
    m.add(at);
    if (x % 10 == 0 && m.at(at) <= times) for_ever();
    return x;
  };
}

/// How many failures, one nested in the other.
template <class E>
int depth(const E& e) {
  try {
    std::rethrow_if_nested(e);
  } catch (const worker_died& cause) {
    return 1 + depth(cause);
  } catch (const task_timeout& cause) {
    return 1 + depth(cause);
  }
  return 1;
}

TEST_P(retries, without_them_nothing_is_begun_twice) {
  board b;
  pool p(with(2));
  const auto all = p.try_map({.chunksize = 8}, dies_at_first(b, 1), first(60));
  for (std::size_t i = 0; i < 60; ++i) {
    EXPECT_EQ(b->at(begun + i), 1) << i;
    EXPECT_EQ(!all[i], i % 10 == 0) << i;
  }
}

TEST_P(retries, run_an_item_again_whose_worker_died) {
  board b;
  pool p(with(2));
  EXPECT_EQ(p.map({.chunksize = 8, .retries = 2}, dies_at_first(b, 2), first(60)), first(60));
  for (std::size_t i = 0; i < 60; ++i) EXPECT_EQ(b->at(begun + i), i % 10 == 0 ? 3 : 1) << i;
}

TEST_P(retries, have_an_end_and_then_tell_every_death) {
  board b;
  pool p(with(2));
  const auto all =
      p.try_map({.chunksize = 8, .retries = 2}, dies_at_first(b, 1000), ints{1, 2, 30, 4, 5});
  for (std::size_t i : {0, 1, 3, 4}) EXPECT_TRUE(all[i]) << i;
  EXPECT_EQ(b->at(begun + 30), 3);
  EXPECT_EQ(b->at(begun + 4), 1);
  try {
    static_cast<void>(all[2].value());
    FAIL();
  } catch (const worker_died& e) {
    EXPECT_EQ(e.signal(), SIGKILL);
    EXPECT_EQ(e.index(), 2u);
    EXPECT_EQ(depth(e), 3);
  }
}

TEST_P(retries, also_of_what_timed_out) {
  board b;
  pool p(with(2));
  EXPECT_EQ(
      p.map({.chunksize = 4, .timeout = 300ms, .retries = 1}, hangs_at_first(b, 1), first(12)),
      first(12));
  EXPECT_EQ(b->at(begun + 0), 2);
  EXPECT_EQ(b->at(begun + 10), 2);
  EXPECT_EQ(b->at(begun + 1), 1);
  try {
    p.apply({.timeout = 50ms, .retries = 1}, hangs_at_first(b, 1000), 20);
    FAIL();
  } catch (const task_timeout& e) {
    EXPECT_EQ(depth(e), 2);
  }
  EXPECT_EQ(b->at(begun + 20), 2);
}

TEST_P(retries, are_for_the_failures_that_were_named) {
  board b;
  pool p(with(1));
  EXPECT_THROW(p.apply({.retries = 3, .retry_on = retry_on::timeout}, dies_at_first(b, 1), 0),
               worker_died);
  EXPECT_EQ(b->at(begun + 0), 1);
  EXPECT_THROW(p.apply({.timeout = 30ms, .retries = 3, .retry_on = retry_on::death},
                       hangs_at_first(b, 1), 10),
               task_timeout);
  EXPECT_EQ(b->at(begun + 10), 1);
  EXPECT_EQ(p.apply({.retries = 3, .retry_on = retry_on::death}, dies_at_first(b, 1), 20), 20);
  EXPECT_EQ(p.apply({.timeout = 300ms, .retries = 3, .retry_on = retry_on::timeout},
                    hangs_at_first(b, 1), 30),
            30);
}

TEST_P(retries, are_not_for_what_an_item_throws) {
  board b;
  pool p(with(1));
  const auto throws = [m = b.here()](int x) -> int {
    m.add(begun);
    throw std::domain_error(std::to_string(x));
  };
  EXPECT_THROW(p.apply({.retries = 3}, throws, 1), std::domain_error);
  EXPECT_EQ(b->at(begun), 1);
}

TEST_P(retries, wait_longer_each_time) {
  using clock = std::chrono::steady_clock;
  board b;
  pool p(with(1));
  const auto start = clock::now();
  EXPECT_EQ(p.apply({.retries = 3, .backoff = 20ms}, dies_at_first(b, 3), 0), 0);
  EXPECT_GE(clock::now() - start, 20ms + 40ms + 80ms);
  EXPECT_EQ(b->at(begun), 4);
  // The others do not wait with it.
  auto slow =
      p.apply_async({.retries = 1, .backoff = std::chrono::hours(1)}, dies_at_first(b, 9), 10);
  EXPECT_TRUE(eventually([&] { return b->at(begun + 10) == 1; }));
  EXPECT_EQ(p.map(square, first(100)), squares(100));
  EXPECT_FALSE(slow.ready());
  EXPECT_TRUE(slow.cancel());
  EXPECT_THROW(slow.get(), procpool::task_cancelled);
  EXPECT_EQ(b->at(begun + 10), 1);
}

TEST_P(retries, end_with_the_calls_deadline) {
  board b;
  pool p(with(1));
  EXPECT_EQ(p.apply(square, 3), 9);  // the worker is there
  EXPECT_THROW(p.apply({.retries = 1, .backoff = std::chrono::hours(1), .deadline = 500ms},
                       dies_at_first(b, 9), 0),
               task_timeout);
  EXPECT_EQ(b->at(begun), 1);
}

TEST_P(retries, of_a_stream_keep_its_order) {
  board b;
  pool p(with(2));
  auto stream = p.imap({.chunksize = 3, .retries = 1}, dies_at_first(b, 1), first(40));
  EXPECT_EQ(rest_of(stream), first(40));
  auto any = p.imap_unordered({.chunksize = 3, .retries = 1}, dies_at_first(b, 3), first(40));
  EXPECT_EQ(sorted(rest_of(any)), first(40));
}

TEST_P(retries, while_the_pool_closes_or_is_terminated) {
  board b;
  {
    pool p(with(1));
    auto r = p.apply_async({.retries = 2, .backoff = 20ms}, dies_at_first(b, 2), 0);
    p.close();
    p.join();
    EXPECT_EQ(r.get(), 0);
  }
  pool p(with(1));
  auto r = p.apply_async({.retries = 2, .backoff = std::chrono::hours(1)}, dies_at_first(b, 2), 10);
  EXPECT_TRUE(eventually([&] { return b->at(begun + 10) == 1; }));
  p.terminate();
  p.join();
  EXPECT_THROW(r.get(), procpool::pool_terminated);
}

}  // namespace
