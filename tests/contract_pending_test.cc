// SPDX-License-Identifier: MIT
// The contract of bounded pools: max_pending, max_pending_bytes, when_full.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "procpool/procpool.h"
#include "support/board.h"
#include "support/inputs.h"
#include "support/methods.h"
#include "support/tasks.h"

namespace {

using namespace procpool::testing;  // NOLINT(google-build-using-namespace)
using namespace std::chrono_literals;
using procpool::pool;
using procpool::pool_full;
using procpool::pool_options;
using procpool::task_options;
using procpool::when_full;

class pending : public pool_test {
 protected:
  static pool_options holding(std::size_t items, std::size_t bytes = 0, int processes = 2) {
    pool_options o = with(processes);
    o.max_pending = items;
    o.max_pending_bytes = bytes;
    return o;
  }
};
/// Where tasks run while their caller goes on.
class pending_far : public pending {};
PROCPOOL_EVERY_METHOD(pending);
PROCPOOL_PROCESS_METHODS(pending_far);

constexpr task_options at_once{.when_full = when_full::fail};

TEST_P(pending, a_map_of_any_length_goes_through_a_small_pool) {
  for (const std::size_t bound : {1u, 2u, 7u, 1000u}) {
    pool p(holding(bound));
    EXPECT_EQ(p.map(square, first(3000)), squares(3000)) << bound;
    EXPECT_EQ(p.map({.chunksize = 50}, square, first(3000)), squares(3000)) << bound;
  }
}

TEST_P(pending, by_bytes_as_well) {
  pool p(holding(0, 10'000));
  const auto length = [](const std::string& s) { return s.size(); };
  std::vector<std::string> texts;
  std::vector<std::size_t> lengths;
  for (std::size_t i = 0; i < 200; ++i) {
    lengths.push_back(i % 20 == 0 ? 30'000 : i * 10);  // some larger than the bound
    texts.emplace_back(lengths.back(), 'x');
  }
  EXPECT_EQ(p.map(length, texts), lengths);
  EXPECT_EQ(p.map({.chunksize = 100}, length, texts), lengths);
  EXPECT_EQ(p.map(square, first(40'000)), squares(40'000));
  EXPECT_EQ(p.apply(length, std::string(1 << 20, 'y')), std::size_t{1} << 20);
}

TEST_P(pending, failures_come_as_ever) {
  pool p(holding(3));
  const auto picky = [](int x) {
    if (x % 3 == 0) throw std::out_of_range(std::to_string(x));
    return x;
  };
  auto all = p.try_map(picky, first(100));
  ASSERT_EQ(all.size(), 100u);
  for (std::size_t i = 0; i < all.size(); ++i) EXPECT_EQ(bool(all[i]), i % 3 != 0) << i;
  EXPECT_THROW(p.map({.fail_fast = true}, picky, first(100)), std::out_of_range);
  EXPECT_EQ(p.map(square, first(100)), squares(100));
}

TEST_P(pending, an_argument_that_cannot_be_encoded_costs_its_call_alone) {
  pool p(holding(2));
  std::vector<const char*> texts(10, "text");
  texts[7] = nullptr;
  const auto size = [](const std::string& s) { return s.size(); };
  for (int i = 0; i < 3; ++i) {
    EXPECT_THROW(p.map(size, texts), std::invalid_argument);
    EXPECT_THROW(p.apply(size, texts[7]), std::invalid_argument);
  }
  EXPECT_EQ(p.map(square, first(10)), squares(10));
  EXPECT_EQ(p.apply(at_once, square, 3), 9) << "nothing is pending";
}

TEST_P(pending, a_stream_has_a_bound_of_its_own) {
  pool p(holding(1, 1));
  for (const either imap : both) {
    auto stream = imap(p, task_options{.buffersize = 50}, square, first(500));
    EXPECT_EQ(sorted(rest_of(stream)), squares(500));
  }
}

TEST_P(pending, options_that_make_no_sense_are_refused) {
  pool p(holding(1));
  task_options odd;
  odd.when_full = static_cast<when_full>(7);
  EXPECT_THROW(p.apply(odd, square, 1), std::invalid_argument);
}

TEST_P(pending, from_many_threads) {
  pool p(holding(4, 64));
  std::atomic<int> wrong{0};
  std::vector<std::thread> callers;
  for (int t = 0; t < 8; ++t)
    callers.emplace_back([&, t] {
      for (int i = 0; i < 30; ++i) {
        if (p.apply(square, i) != i * i) ++wrong;
        if (p.map(square, first(t * 3)) != squares(t * 3)) ++wrong;
        if (p.apply_async(sum, i, t).get() != i + t) ++wrong;
      }
    });
  for (auto& c : callers) c.join();
  EXPECT_EQ(wrong, 0);
}

TEST_P(pending_far, no_more_is_taken_from_the_input_than_may_be_pending) {
  board b;
  pool p(holding(6, 0, 1));
  std::atomic<int> read{0};
  auto counted = [&read](int k) {
    ++read;
    return k;
  };
  std::thread caller(
      [&] { EXPECT_EQ(p.map({.chunksize = 2}, waits(b), single_pass(40, counted)), first(40)); });
  // Three messages, and the one in its hand.
  ASSERT_TRUE(eventually([&] { return read == 8; }, 20s));
  b->await(1);
  EXPECT_EQ(read, 8);
  b->set(0);
  caller.join();
  EXPECT_EQ(read, 40);
}

TEST_P(pending_far, a_call_waits_until_another_has_ended) {
  board b;
  pool p(holding(2));
  std::vector<procpool::async_result<int>> running;
  for (int i = 0; i < 2; ++i) running.push_back(p.apply_async(waits(b), i));
  b->await(1, 2);
  std::atomic<bool> in{false};
  std::thread caller([&] {
    auto third = p.apply_async(square, 5);
    in = true;
    EXPECT_EQ(third.get(), 25);
  });
  EXPECT_THROW(p.apply_async(at_once, square, 1), pool_full);
  EXPECT_THROW(p.apply(at_once, square, 1), pool_full);
  EXPECT_THROW(p.map(at_once, square, first(2)), pool_full);
  EXPECT_THROW(p.map_async(at_once, square, first(2)), pool_full);
  EXPECT_FALSE(in);
  b->set(0);
  caller.join();
  for (int i = 0; i < 2; ++i) EXPECT_EQ(running[static_cast<std::size_t>(i)].get(), i);
  EXPECT_EQ(p.apply(at_once, square, 6), 36);
}

TEST_P(pending_far, of_a_call_that_did_not_fit_nothing_runs_any_more) {
  board b;
  pool p(holding(4, 0, 1));
  auto one = p.apply_async(waits(b), 0);
  b->await(1);
  const auto mark = [m = b.here()](int) { m.add(5); };
  EXPECT_THROW(p.map({.chunksize = 1, .when_full = when_full::fail}, mark, first(9)), pool_full);
  b->set(0);
  EXPECT_EQ(one.get(), 0);
  p.map(square, first(20));
  EXPECT_EQ(b->at(5), 0);
}

TEST_P(pending_far, a_callback_is_told_instead_of_waiting) {
  board b;
  pool p(holding(2));
  auto one = p.apply_async(waits(b), 0);
  auto two = p.apply_async([m = b.here()] { m.await(2); });
  auto then = two.then([&p] {
    for (;;) static_cast<void>(p.apply_async(for_ever));  // one finds room
  });
  b->set(2);
  EXPECT_THROW(then.get(), pool_full);
  p.terminate();
}

TEST_P(pending_far, a_deadline_counts_while_the_call_waits) {
  board b;
  pool p(holding(1));
  auto one = p.apply_async(waits(b), 0);
  b->await(1);
  for (int i = 0; i < 2; ++i) {
    try {
      const task_options brief{.deadline = 20ms};
      i == 0 ? p.apply(brief, square, 1) : p.map(brief, square, first(5)).front();
      FAIL() << "there was no room";
    } catch (const procpool::task_timeout& e) {
      EXPECT_EQ(e.kind(), procpool::task_timeout::kind_type::deadline);
      EXPECT_EQ(e.limit(), 20ms);
      EXPECT_EQ(e.pid(), 0);
    }
  }
  b->set(0);
  EXPECT_EQ(one.get(), 0);
}

TEST_P(pending_far, cancelling_makes_room) {
  pool p(holding(2));
  auto one = p.apply_async(for_ever);
  auto two = p.apply_async(for_ever);
  std::thread caller([&] { EXPECT_EQ(p.apply(square, 4), 16); });
  EXPECT_TRUE(one.cancel());
  caller.join();
  EXPECT_TRUE(two.cancel());
}

TEST_P(pending_far, deaths_make_room) {
  pool p(holding(2));
  const auto dies = [](int x) {
    if (x % 5 == 0) ::raise(SIGKILL);
    return x;
  };
  std::atomic<int> died{0};
  std::atomic<int> lived{0};
  std::vector<std::thread> callers;
  for (int t = 0; t < 4; ++t)
    callers.emplace_back([&] {
      for (auto& o : p.try_map({.retries = 1}, dies, first(10))) ++(o ? lived : died);
    });
  for (auto& c : callers) c.join();
  EXPECT_EQ(died, 8);
  EXPECT_EQ(lived, 32);
  EXPECT_EQ(p.apply(at_once, square, 2), 4);
}

TEST_P(pending_far, terminating_ends_the_waiting) {
  board b;
  pool p(holding(1));
  auto one = p.apply_async(for_ever);
  std::atomic<int> waiting{0};
  std::atomic<int> told{0};
  std::vector<std::thread> callers;
  for (int t = 0; t < 4; ++t)
    callers.emplace_back([&, t] {
      ++waiting;
      try {
        if (t % 2 == 0)
          p.apply(square, 1);
        else
          p.map(square, first(100));
      } catch (const procpool::pool_terminated&) {
        ++told;
      } catch (const procpool::pool_closed&) {  // it came after the end
        ++told;
      }
    });
  ASSERT_TRUE(eventually([&] { return waiting == 4; }, 20s));
  p.terminate();
  for (auto& c : callers) c.join();
  EXPECT_EQ(told, 4);
}

TEST_P(pending_far, submitting_cancelling_and_terminating_race) {
  pool p(holding(3, 100));
  std::atomic<int> ended{0};
  std::atomic<int> begun{0};
  std::vector<std::thread> callers;
  for (int t = 0; t < 6; ++t)
    callers.emplace_back([&, t] {
      try {
        for (int i = 0;; ++i) {
          task_options o;
          if (i % 5 == 0) o.when_full = when_full::fail;
          if (i % 7 == 0) o.deadline = 1ms;
          try {
            auto r = p.map_async(o, square, first(1 + (i + t) % 6));
            if (i % 3 == 0) r.cancel();
            r.get();
          } catch (const procpool::task_cancelled&) {
          } catch (const procpool::task_timeout&) {
          } catch (const pool_full&) {
          }
          ++begun;
        }
      } catch (const procpool::pool_terminated&) {
        ++ended;
      } catch (const procpool::pool_closed&) {
        ++ended;
      }
    });
  EXPECT_TRUE(eventually([&] { return begun >= 300; }, 20s));
  p.terminate();
  for (auto& c : callers) c.join();
  EXPECT_EQ(ended, 6);
}

// Its item is pending until it has ended, and nobody else would make room.
TEST(pending_in_process, a_task_that_would_wait_for_itself_is_told) {
  pool_options o;
  o.start_method = procpool::start_method::in_process;
  o.max_pending = 1;
  pool p(o);
  static pool* the_pool;
  the_pool = &p;
  EXPECT_THROW(p.apply([] { return the_pool->apply(square, 2); }), pool_full);
  EXPECT_EQ(p.apply(square, 3), 9);
}

}  // namespace
