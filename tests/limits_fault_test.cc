// SPDX-License-Identifier: MIT
// Limits where the system refuses what they need.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <system_error>

#include "procpool/procpool.h"
#include "support/board.h"
#include "support/fault_test.h"
#include "support/tasks.h"

namespace procpool::testing {
namespace {

using namespace std::chrono_literals;
class limits_fault : public fault_test {};
PROCPOOL_PROCESS_METHODS(limits_fault);

TEST_P(limits_fault, without_membarrier_a_limit_is_refused_and_all_else_works) {
  board b;
  fault::arm("membarrier", 1, ENOSYS, 1'000'000);
  pool p(with(1));
  EXPECT_TRUE(fault::fired());
  EXPECT_EQ(p.map(square, first(100)), squares(100));
  for (const task_options& o : {task_options{.timeout = 1s}, task_options{.deadline = 1s}}) {
    try {
      p.apply(o, square, 3);
      FAIL();
    } catch (const std::system_error& e) {
      EXPECT_EQ(e.code().value(), ENOSYS);
    }
  }
  // What runs cannot be stopped alone; what waits can be dropped.
  auto running = p.apply_async(waits(b), 3);
  b->await(1);
  auto waiting = p.apply_async(square, 3);
  EXPECT_TRUE(waiting.cancel());
  EXPECT_FALSE(running.cancel());
  b->set(0);
  EXPECT_EQ(running.get(), 3);
}

TEST_P(limits_fault, a_limit_is_kept_when_the_first_tries_fail) {
  pool p(with(1));
  fault::arm("membarrier", 1, ENOMEM, 3);
  EXPECT_THROW(p.apply({.timeout = 20ms}, for_ever), task_timeout);
  EXPECT_TRUE(fault::fired());
  EXPECT_EQ(p.apply(square, 3), 9);  // there is a worker again
  fault::arm("membarrier", 1, ENOMEM, 3);
  EXPECT_THROW(p.apply({.deadline = 500ms}, for_ever), task_timeout);
  EXPECT_TRUE(fault::fired());
}

TEST_P(limits_fault, a_kill_that_did_not_get_through_is_sent_again) {
  pool p(with(1));
  EXPECT_EQ(p.apply(square, 3), 9);
  // The next the parent sends the zygote is the kill.
  fault::arm("send", 1, ENOBUFS, 2);
  EXPECT_THROW(p.apply({.timeout = 20ms}, for_ever), task_timeout);
  EXPECT_TRUE(fault::fired());
}

TEST_P(limits_fault, a_worker_that_cannot_lead_a_group_is_not_one) {
  fault::arm("setpgid", 1, EPERM, 2);  // the zygote's, and the worker's own
  pool p(with(1));
  EXPECT_EQ(p.apply(square, 3), 9);
  EXPECT_TRUE(fault::fired());
}

}  // namespace
}  // namespace procpool::testing
