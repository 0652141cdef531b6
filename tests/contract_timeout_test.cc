// SPDX-License-Identifier: MIT
// The contract of time limits: an item's timeout, a call's deadline, and the steps by which what
// runs is stopped.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "procpool/procpool.h"
#include "support/board.h"
#include "support/methods.h"
#include "support/tasks.h"

namespace {

using namespace procpool::testing;  // NOLINT(google-build-using-namespace)
using namespace std::chrono_literals;
using procpool::pool;
using procpool::stop_steps;
using procpool::task_options;
using procpool::task_timeout;
namespace this_worker = procpool::this_worker;

class timeout : public pool_test {};
class deadline : public pool_test {};
class stopping : public pool_test {};
class limits_everywhere : public pool_test {};
PROCPOOL_PROCESS_METHODS(timeout);
PROCPOOL_PROCESS_METHODS(deadline);
PROCPOOL_PROCESS_METHODS(stopping);
PROCPOOL_EVERY_METHOD(limits_everywhere);

// Marks: 0 a door that nobody opens; 100 + x: item x has begun, so often; 600 + x: and ended.
constexpr std::size_t begun = 100;
constexpr std::size_t ended = 600;

/// Items divisible by seven never end.
auto mostly_ends(const board& b) {
  return [m = b.here()](int x) {
    m.add(begun + static_cast<std::size_t>(x));
    if (x % 7 == 0) for_ever();
    m.add(ended + static_cast<std::size_t>(x));
    return x * x;
  };
}

template <class R>
bool timed_out(const procpool::outcome<R>& o) {
  try {
    static_cast<void>(o.value());
  } catch (const task_timeout&) {
    return true;
  } catch (...) {
  }
  return false;
}

TEST_P(timeout, ends_the_item_and_the_pool_goes_on) {
  pool p(with(1));
  const int before = p.apply(::getpid);
  try {
    p.apply({.timeout = 50ms}, for_ever);
    FAIL();
  } catch (const task_timeout& e) {
    EXPECT_EQ(e.kind(), task_timeout::kind_type::timeout);
    EXPECT_EQ(e.limit(), 50ms);
    EXPECT_EQ(e.index(), 0u);
    EXPECT_EQ(e.pid(), before);
    EXPECT_EQ(std::string(e.what()),
              "procpool: item 0 ran past its limit of 50 ms in worker " + std::to_string(before));
  }
  EXPECT_FALSE(::kill(before, 0) == 0) << "when the error is there, nothing runs any more";
  EXPECT_NE(p.apply(::getpid), before);
  EXPECT_EQ(p.apply({.timeout = ages}, square, 3), 9);
}

TEST_P(timeout, of_a_chunk_the_one_item_fails_and_each_is_begun_once) {
  board b;
  pool p(with(2));
  const auto all = p.try_map({.chunksize = 10, .timeout = 300ms}, mostly_ends(b), first(40));
  for (std::size_t i = 0; i < 40; ++i) {
    EXPECT_EQ(b->at(begun + i), 1) << i;
    if (i % 7 == 0) {
      EXPECT_TRUE(timed_out(all[i])) << i;
      EXPECT_EQ(b->at(ended + i), 0) << i;
    } else {
      EXPECT_EQ(*all[i], static_cast<int>(i * i)) << i;
    }
  }
}

TEST_P(timeout, says_which_item_it_was) {
  board b;
  pool p(with(2));
  try {
    p.map({.chunksize = 5, .timeout = 300ms}, mostly_ends(b), ints{1, 2, 3, 7, 5});
    FAIL();
  } catch (const task_timeout& e) {
    EXPECT_EQ(e.index(), 3u);
  }
  auto stream = p.imap({.chunksize = 2, .timeout = 300ms}, mostly_ends(b), ints{1, 2, 3, 4, 7, 6});
  for (int x : {1, 2, 3, 4}) EXPECT_EQ(stream.next(), x * x);
  try {
    stream.next();
    FAIL();
  } catch (const task_timeout& e) {
    EXPECT_EQ(e.index(), 4u);
  }
  EXPECT_EQ(stream.next(), 36);
  EXPECT_EQ(stream.next(), std::nullopt);
}

// The chunk as a whole takes longer than one item may.
TEST_P(timeout, counts_from_each_items_start) {
  pool p(with(1));
  const auto slow = [](int x) {
    ::usleep(60'000);
    return x;
  };
  EXPECT_EQ(p.map({.chunksize = 20, .timeout = 1s}, slow, first(20)), first(20));
}

TEST_P(timeout, does_not_count_the_wait_in_the_queue) {
  board b;
  pool p(with(1));
  auto ahead = p.apply_async(waits(b), 1);
  b->await(1);
  auto behind = p.apply_async({.timeout = 500ms}, square, 3);
  EXPECT_FALSE(behind.wait_for(700ms));
  b->set(0);
  EXPECT_EQ(ahead.get(), 1);
  EXPECT_EQ(behind.get(), 9);
}

TEST_P(timeout, of_one_call_is_no_others) {
  board b;
  pool p(with(1));
  auto timed = p.apply_async({.timeout = 50ms}, for_ever);
  auto free = p.apply_async(waits(b), 5);
  EXPECT_THROW(timed.get(), task_timeout);
  EXPECT_FALSE(free.wait_for(100ms));
  b->set(0);
  EXPECT_EQ(free.get(), 5);
  EXPECT_EQ(b->at(1), 1);
}

// What ends at about its limit: it has ended, or it has been stopped, and nothing else is harmed.
TEST_P(timeout, at_about_the_limit_every_item_has_one_outcome) {
  board b;
  pool p(with(2));
  constexpr int n = 400;
  const auto near_the_limit = [m = b.here()](int x) {
    m.add(begun + static_cast<std::size_t>(x));
    ::usleep(static_cast<useconds_t>(1000 + x * 37 % 2000));
    m.add(ended + static_cast<std::size_t>(x));
    return x;
  };
  const auto all = p.try_map({.chunksize = 8, .timeout = 2ms}, near_the_limit, first(n));
  int stopped = 0;
  for (int x = 0; x < n; ++x) {
    const auto i = static_cast<std::size_t>(x);
    EXPECT_LE(b->at(begun + i), 1) << x;  // 0: stopped before it got so far
    if (all[i]) {
      EXPECT_EQ(*all[i], x);
      EXPECT_EQ(b->at(begun + i), 1);
      EXPECT_EQ(b->at(ended + i), 1);
    } else {
      EXPECT_TRUE(timed_out(all[i])) << x;
      ++stopped;
    }
  }
  EXPECT_GT(stopped, 0);
}

TEST_P(timeout, is_kept_while_nobody_waits) {
  board b;
  pool p(with(1));
  auto r = p.apply_async({.timeout = 50ms}, for_ever);
  EXPECT_TRUE(eventually([&] { return r.ready(); }));
  EXPECT_THROW(r.get(), task_timeout);
}

TEST_P(timeout, of_a_worker_that_does_not_even_run) {
  board b;
  pool p(with(1));
  auto r = p.apply_async({.timeout = 300ms}, [m = b.here()] {
    m.set(1);
    ::raise(SIGSTOP);
  });
  EXPECT_THROW(r.get(), task_timeout);
  EXPECT_EQ(b->at(1), 1);
  EXPECT_EQ(p.apply(square, 2), 4);
}

TEST_P(timeout, also_of_a_workers_last_task) {
  auto o = with(1);
  o.max_tasks_per_child = 2;
  pool p(o);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(p.apply({.timeout = ages}, square, 3), 9);
    EXPECT_THROW(p.apply({.timeout = 30ms}, for_ever), task_timeout);
  }
}

TEST_P(timeout, while_the_pool_closes) {
  pool p(with(2));
  std::vector<procpool::async_result<void>> all;
  for (int i = 0; i < 4; ++i) all.push_back(p.apply_async({.timeout = 50ms}, for_ever));
  p.close();
  p.join();
  for (auto& r : all) EXPECT_THROW(r.get(), task_timeout);
}

// ---- of a whole call

TEST_P(deadline, ends_what_runs_and_drops_what_does_not) {
  board b;
  pool p(with(1));
  const ints xs{1, 2, 7, 3, 4};
  const auto all = p.try_map({.chunksize = 2, .deadline = 500ms}, mostly_ends(b), xs);
  EXPECT_EQ(*all[0], 1);
  EXPECT_EQ(*all[1], 4);
  for (std::size_t i : {2, 3, 4}) {
    EXPECT_TRUE(timed_out(all[i])) << i;
    EXPECT_EQ(b->at(begun + static_cast<std::size_t>(xs[i])), i == 2 ? 1 : 0) << i;
  }
  try {
    static_cast<void>(all[2].value());
  } catch (const task_timeout& e) {
    EXPECT_EQ(e.kind(), task_timeout::kind_type::deadline);
    EXPECT_EQ(e.limit(), 500ms);
    EXPECT_EQ(e.index(), 2u);
  }
  EXPECT_EQ(p.apply(square, 3), 9);
}

TEST_P(deadline, ends_all_that_runs) {
  board b;
  pool p(with(4));
  const auto all = p.try_map({.chunksize = 1, .deadline = 100ms}, mostly_ends(b), ints{7, 14, 21});
  for (const auto& each : all) EXPECT_TRUE(timed_out(each));
  EXPECT_EQ(p.map(square, first(100)), squares(100));
}

TEST_P(deadline, is_nothing_to_a_call_that_ends_before) {
  pool p(with(2));
  EXPECT_EQ(p.map({.deadline = ages}, square, first(1000)), squares(1000));
  EXPECT_EQ(p.apply({.deadline = ages}, square, 3), 9);
}

TEST_P(deadline, counts_the_wait_in_the_queue) {
  board b;
  pool p(with(1));
  auto ahead = p.apply_async(waits(b), 1);
  b->await(1);
  auto behind = p.apply_async({.deadline = 50ms}, square, 3);
  try {
    behind.get();
    FAIL();
  } catch (const task_timeout& e) {
    EXPECT_EQ(e.kind(), task_timeout::kind_type::deadline);
    EXPECT_EQ(e.pid(), 0);
  }
  b->set(0);
  EXPECT_EQ(ahead.get(), 1);
}

TEST_P(deadline, of_a_stream_is_of_all_of_it) {
  board b;
  pool p(with(2));
  auto stream = p.imap({.chunksize = 1, .deadline = 1s}, mostly_ends(b), ints{1, 2, 7, 3});
  EXPECT_EQ(stream.next(), 1);
  EXPECT_EQ(stream.next(), 4);
  EXPECT_THROW(stream.next(), task_timeout);
  EXPECT_EQ(stream.next(), 9);
  EXPECT_EQ(stream.next(), std::nullopt);
}

// ---- the steps

TEST_P(stopping, an_item_that_obeys_keeps_its_worker) {
  pool p(with(1));
  const int before = p.apply(::getpid);
  const task_options gently{.timeout = 30ms, .stop_steps = stop_steps{.token_grace = ages}};
  // What it returns or throws after that is dropped.
  EXPECT_THROW(p.apply(gently,
                       [] {
                         while (!this_worker::stop_requested()) ::usleep(100);
                         return 1;
                       }),
               task_timeout);
  EXPECT_THROW(p.apply(gently,
                       []() -> int {
                         const std::stop_token t = this_worker::stop_token();
                         while (!t.stop_requested()) ::usleep(100);
                         throw std::runtime_error("as I was told");
                       }),
               task_timeout);
  // Told to who listens before, and to who asks only then.
  EXPECT_THROW(p.apply(gently,
                       [] {
                         std::atomic<bool> told{false};
                         const std::stop_callback listener(this_worker::stop_token(),
                                                           [&] { told = true; });
                         while (!told) ::usleep(100);
                       }),
               task_timeout);
  EXPECT_THROW(p.apply(gently,
                       [] {
                         while (!this_worker::stop_requested()) ::usleep(100);
                         if (!this_worker::stop_token().stop_requested()) for_ever();
                       }),
               task_timeout);
  // And the next one is not asked.
  EXPECT_FALSE(p.apply([] { return this_worker::stop_token().stop_requested(); }));
  EXPECT_FALSE(p.apply([] { return this_worker::stop_requested(); }));
  EXPECT_EQ(p.apply(::getpid), before);
}

TEST_P(stopping, the_rest_of_an_obedient_items_chunk_runs_once) {
  board b;
  pool p(with(1));
  const auto f = [m = b.here()](int x) {
    m.add(begun + static_cast<std::size_t>(x));
    if (x % 5 == 0)
      while (!this_worker::stop_requested()) ::usleep(100);
    return x;
  };
  const int before = p.apply(::getpid);
  const auto all =
      p.try_map({.chunksize = 20, .timeout = 300ms, .stop_steps = stop_steps{.token_grace = ages}},
                f, first(20));
  for (std::size_t i = 0; i < 20; ++i) {
    EXPECT_EQ(timed_out(all[i]), i % 5 == 0) << i;
    EXPECT_EQ(b->at(begun + i), 1) << i;
  }
  EXPECT_EQ(p.apply(::getpid), before);
}

TEST_P(stopping, a_signal_may_end_the_item_well) {
  pool p(with(1));
  const int before = p.apply(::getpid);
  const task_options options{.timeout = 300ms,
                             .stop_steps = stop_steps{.signal = SIGUSR1, .signal_grace = ages}};
  EXPECT_THROW(p.apply(options,
                       [] {
                         static std::atomic<bool> told;
                         told = false;
                         ::signal(SIGUSR1, [](int) { told = true; });
                         while (!told) ::usleep(100);
                       }),
               task_timeout);
  EXPECT_EQ(p.apply(::getpid), before);
  // By default it ends the worker.
  EXPECT_THROW(
      p.apply({.timeout = 30ms, .stop_steps = stop_steps{.signal = SIGTERM, .signal_grace = ages}},
              for_ever),
      task_timeout);
  EXPECT_NE(p.apply(::getpid), before);
}

TEST_P(stopping, goes_through_all_steps_with_who_obeys_none) {
  board b;
  auto o = with(1);
  o.stop_steps = {.token_grace = 200ms, .signal = SIGTERM, .signal_grace = 500ms};
  pool p(o);
  EXPECT_THROW(p.apply({.timeout = 200ms},
                       [m = b.here()] {
                         static marks::counter* heard;
                         heard = &m[2];
                         ::signal(SIGTERM, [](int) { ++*heard; });
                         while (!this_worker::stop_requested()) ::usleep(100);
                         m.add(1);
                         for_ever();
                       }),
               task_timeout);
  EXPECT_EQ(b->at(1), 1);
  EXPECT_EQ(b->at(2), 1);
}

/// In an item: starts a process that never ends, and notes it at mark 1.
void start_a_child(const marks& m) {
  const pid_t child = ::fork();
  if (child == 0) for_ever();
  m.set(1, child);
}
/// It falls to this process, a subreaper in these tests, when its parent has died.
void expect_that_it_ends(const board& b) {
  const pid_t child = b->at(1);
  ASSERT_GT(child, 0);
  EXPECT_TRUE(eventually([&] { return ::waitpid(child, nullptr, WNOHANG) == child; }));
}

TEST_P(stopping, takes_along_what_the_item_has_started) {
  board b;
  pool p(with(1));
  EXPECT_THROW(p.apply({.timeout = 500ms},
                       [m = b.here()] {
                         start_a_child(m);
                         for_ever();
                       }),
               task_timeout);
  expect_that_it_ends(b);
}

TEST_P(stopping, a_crash_takes_along_what_the_item_has_started) {
  board b;
  pool p(with(1));
  EXPECT_THROW(p.apply([m = b.here()] {
    start_a_child(m);
    ::abort();
  }),
               procpool::worker_died);
  expect_that_it_ends(b);
}

TEST_P(stopping, a_worker_that_leaves_well_takes_nothing_along) {
  board b;
  {
    pool p(with(1));
    p.apply([m = b.here()] {
      const pid_t child = ::fork();
      if (child == 0) {
        m.await(2);
        ::_exit(7);
      }
      m.set(1, child);
    });
  }
  const pid_t child = b->at(1);
  EXPECT_EQ(::kill(child, 0), 0);
  b->set(2);
  int status = 0;
  EXPECT_TRUE(eventually([&] { return ::waitpid(child, &status, WNOHANG) == child; }));
  EXPECT_EQ(WEXITSTATUS(status), 7);
}

// ---- what is said wrong

TEST_P(limits_everywhere, options_that_make_no_sense_are_refused) {
  pool p(with());
  const auto call = [&](const task_options& o) { return p.apply(o, square, 3); };
  EXPECT_THROW(call({.timeout = -1ns}), std::invalid_argument);
  EXPECT_THROW(call({.retries = -1}), std::invalid_argument);
  EXPECT_THROW(call({.backoff = -1s}), std::invalid_argument);
  EXPECT_THROW(call({.deadline = -1s}), std::invalid_argument);
  EXPECT_THROW(call({.stop_steps = stop_steps{.token_grace = -1s}}), std::invalid_argument);
  EXPECT_THROW(call({.stop_steps = stop_steps{.signal = 1000}}), std::invalid_argument);
  EXPECT_THROW(p.imap({.timeout = -1ns}, square, first(3)), std::invalid_argument);
  EXPECT_THROW(p.map_async({.timeout = -1ns}, square, first(3)), std::invalid_argument);
  auto o = with();
  o.stop_steps.signal = -1;
  EXPECT_THROW(pool{o}, std::invalid_argument);
  EXPECT_EQ(call({}), 9);
}

TEST_P(timeout, a_time_without_end_is_none) {
  constexpr auto for_all_time = std::chrono::nanoseconds::max();
  pool p(with(1));
  const stop_steps patient{.token_grace = for_all_time, .signal_grace = for_all_time};
  // Looked at again and again while it runs: another item's time is short.
  const auto slow = [](int x) {
    ::usleep(20'000);
    return x;
  };
  EXPECT_EQ(p.apply({.timeout = for_all_time}, slow, 3), 3);
  EXPECT_EQ(p.apply({.deadline = for_all_time}, slow, 4), 4);
  // Asked to end, and given all the time for it; it gets as far as it likes.
  board b;
  const auto ends_when_asked = [m = b.here()] {
    while (!this_worker::stop_requested()) ::usleep(100);
    ::usleep(20'000);
    m.set(0);
  };
  EXPECT_THROW(p.apply({.timeout = 1ms, .stop_steps = patient}, ends_when_asked), task_timeout);
  EXPECT_EQ(b->at(0), 1);
  EXPECT_EQ(p.stats().died, 0U);
}

TEST_P(limits_everywhere, what_keeps_them_does_not_notice) {
  pool p(with());
  const task_options o{.timeout = ages, .retries = 3, .deadline = ages};
  EXPECT_EQ(p.apply(o, square, 3), 9);
  EXPECT_EQ(p.map(o, square, first(100)), squares(100));
  auto stream = p.imap(o, square, first(100));
  EXPECT_EQ(rest_of(stream), squares(100));
  EXPECT_THROW(p.apply(o, []() -> int { throw std::domain_error("mine"); }), std::domain_error);
}

}  // namespace
