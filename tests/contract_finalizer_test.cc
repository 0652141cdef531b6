// SPDX-License-Identifier: MIT
// The contract of pool_options.finalizer: what runs in a worker that retires, and when its state
// goes.
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <utility>

#include "procpool/procpool.h"
#include "support/board.h"
#include "support/methods.h"
#include "support/model.h"
#include "support/tasks.h"

namespace {

using namespace procpool::testing;  // NOLINT(google-build-using-namespace)
namespace this_worker = procpool::this_worker;
using procpool::pool;
using procpool::pool_options;
using procpool::start_method;

class finalizer : public pool_test {};
class finalizer_far : public pool_test {};  // as only another process shows it
class finalizer_near : public pool_test {};
PROCPOOL_EVERY_METHOD(finalizer);
PROCPOOL_PROCESS_METHODS(finalizer_far);
INSTANTIATE_TEST_SUITE_P(contract, finalizer_near, ::testing::Values(start_method::in_process),
                         name_of);

/// Notes at mark 3 that it ran, at mark 4 that the state was there.
void finish(const marks& m) {
  m.add(3);
  if (this_worker::exists() && this_worker::state<model>().loaded == 9) m.add(4);
  if (m.at(1) == 0) m.add(5);
}

pool_options finishing(pool_options o, const board& b) {
  o.initializer = procpool::task([](const marks& m) { return model(m, 9); }, b.here());
  o.finalizer = procpool::task(finish, b.here());
  return o;
}

TEST_P(finalizer, runs_once_in_every_worker_before_its_state_goes) {
  board b;
  {
    pool p(finishing(with(1), b));
    EXPECT_EQ(p.map(square, first(10)), squares(10));
    EXPECT_EQ(b->at(3), 0);
    p.close();
    p.join();
    EXPECT_EQ(b->at(3), 1);
    EXPECT_EQ(b->at(1), 1);
  }
  EXPECT_EQ(b->at(3), 1);
  EXPECT_EQ(b->at(4), 1);
  EXPECT_EQ(b->at(5), 1);  // the state was not yet destroyed
  EXPECT_EQ(b->at(1), 1);
}

TEST_P(finalizer, works_without_a_state) {
  board b;
  pool_options o = with(1);
  o.finalizer = procpool::task(
      [](const marks& m, std::uint64_t expected) {
        if (this_worker::task_count() == expected) m.add(0);
        return std::string("nobody wants it");
      },
      b.here(), std::uint64_t{10});
  {
    pool p(o);
    p.map(square, first(10));
  }
  EXPECT_EQ(b->at(0), 1);
}

TEST_P(finalizer, what_it_throws_is_dropped) {
  board b;
  pool_options o = finishing(with(2), b);
  o.finalizer = procpool::task([]() { throw std::domain_error("finalizer"); });
  {
    pool p(o);
    EXPECT_EQ(p.map(square, first(10)), squares(10));
    p.close();
    p.join();
  }
  EXPECT_EQ(b->at(0), b->at(1));  // the states are destroyed all the same
}

TEST_P(finalizer, does_not_run_when_the_pool_is_terminated) {
  board b;
  {
    pool p(finishing(with(2), b));
    EXPECT_EQ(p.apply(square, 3), 9);
    p.terminate();
    p.join();
    EXPECT_EQ(b->at(3), 0);
  }
  EXPECT_EQ(b->at(3), 0);
  EXPECT_EQ(b->at(1), GetParam() == start_method::in_process ? 1 : 0);  // killed ones destroy none
}

TEST_P(finalizer, results_outlive_it) {
  board b;
  procpool::async_result<int> r;
  {
    pool p(finishing(with(1), b));
    r = p.apply_async(square, 3);
  }
  EXPECT_EQ(b->at(3), 1);
  EXPECT_EQ(r.get(), 9);
}

TEST_P(finalizer_far, the_last_reply_does_not_wait_for_it) {
  board b;
  pool_options o = with(1);
  o.max_tasks_per_child = 1;
  o.finalizer = procpool::task(
      [](const marks& m) {
        m.add(1);
        m.await(0);
      },
      b.here());
  pool p(o);
  EXPECT_EQ(p.apply(square, 3), 9);
  b->await(1);  // it runs, and holds its worker's place
  auto next = p.apply_async(square, 4);
  EXPECT_THROW(next.get(std::chrono::milliseconds(1)), procpool::timeout_error);
  b->set(0);
  EXPECT_EQ(next.get(ages), 16);
}

TEST_P(finalizer_far, runs_in_each_worker_that_retires) {
  board b;
  pool_options o = finishing(with(2), b);
  o.max_tasks_per_child = 5;
  {
    pool p(o);
    EXPECT_EQ(p.map({.chunksize = 2}, square, first(60)), squares(60));
  }
  EXPECT_GE(b->at(3), 12);
  EXPECT_EQ(b->at(3), b->at(4));
  EXPECT_EQ(b->at(0), b->at(3));  // as many as were initialized
  EXPECT_EQ(b->at(0), b->at(1));
}

TEST_P(finalizer_far, costs_no_result_when_it_ends_the_process) {
  for (int how : {0, 1, 2}) {
    pool_options o = with(2);
    o.max_tasks_per_child = 3;
    o.finalizer = procpool::task(
        [](int i) {
          if (i == 0) ::_exit(3);
          if (i == 1) ::raise(SIGKILL);
          ::abort();
        },
        how);
    pool p(o);
    EXPECT_EQ(p.map({.chunksize = 2}, square, first(40)), squares(40)) << how;
    p.close();
    p.join();
  }
}

TEST_P(finalizer_far, one_that_never_ends_is_killed_by_terminate) {
  board b;
  pool_options o = with(1);
  o.finalizer = procpool::task(
      [](const marks& m) {
        m.add(0);
        for (;;) ::pause();
      },
      b.here());
  pool p(o);
  EXPECT_EQ(p.apply(square, 3), 9);
  p.close();
  b->await(0);
  EXPECT_FALSE(p.join_for(std::chrono::milliseconds(1)));
  p.terminate();
  EXPECT_TRUE(p.join_for(ages));
}

TEST_P(finalizer_far, does_not_run_in_one_that_dies) {
  board b;
  pool_options o = finishing(with(1), b);
  pool p(o);
  EXPECT_THROW(p.apply([] { ::raise(SIGKILL); }), procpool::worker_died);
  EXPECT_EQ(b->at(3), 0);
  EXPECT_EQ(p.apply(square, 3), 9);
  p.close();
  p.join();
  EXPECT_EQ(b->at(3), 1);
}

// ---- in the caller's own process, where a task may do things to its pool

pool* at_hand = nullptr;

TEST_P(finalizer_near, a_task_that_terminates_its_pool_keeps_its_state_to_its_end) {
  board b;
  {
    pool p(finishing(with(), b));
    at_hand = &p;
    EXPECT_THROW(p.apply([] {
      auto& m = this_worker::state<model>();
      at_hand->terminate();
      at_hand->join();  // waits for other tasks than this one
      if (m.board.at(1) == 0) m.board.add(6);
    }),
                 procpool::pool_terminated);
    EXPECT_EQ(b->at(6), 1);
    EXPECT_EQ(b->at(1), 1);
  }
  EXPECT_EQ(b->at(3), 0);
  EXPECT_EQ(b->at(1), 1);
}

TEST_P(finalizer_near, a_task_that_closes_its_pool_is_the_last) {
  board b;
  pool p(finishing(with(), b));
  at_hand = &p;
  p.apply([] { at_hand->close(); });
  EXPECT_EQ(b->at(3), 0);
  p.join();
  EXPECT_EQ(b->at(3), 1);
  EXPECT_EQ(b->at(1), 1);
  EXPECT_TRUE(p.join_for(std::chrono::seconds(0)));
}

TEST_P(finalizer_near, without_a_task_there_was_no_worker) {
  board b;
  { pool p(finishing(with(), b)); }
  EXPECT_EQ(b->at(0), 0);
  EXPECT_EQ(b->at(3), 0);
}

// A destructor, and a finalizer, may use the pool; it takes nothing.
TEST_P(finalizer_near, may_ask_its_pool) {
  board b;
  pool_options o = with();
  o.finalizer = procpool::task(
      [](const marks& m) {
        try {
          at_hand->apply(square, 1);
        } catch (const procpool::pool_closed&) {
          m.add(0);
        }
        if (at_hand->to_string().find("closed") != std::string::npos) m.add(1);
      },
      b.here());
  pool p(o);
  at_hand = &p;
  p.apply(square, 2);
  p.close();
  p.join();
  EXPECT_EQ(b->at(0), 1);
  EXPECT_EQ(b->at(1), 1);
}

}  // namespace
