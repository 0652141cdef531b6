// SPDX-License-Identifier: MIT
// A worker's limits where the system refuses what they need: nobody is left to believe in a limit
// that is not there.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <exception>
#include <set>
#include <system_error>
#include <vector>

#include "procpool/procpool.h"
#include "support/fault_test.h"
#include "support/own_memory.h"
#include "support/tasks.h"

namespace procpool::testing {
namespace {

using namespace std::chrono_literals;
class rlimits_fault : public fault_test {};
PROCPOOL_PROCESS_METHODS(rlimits_fault);

TEST_P(rlimits_fault, a_limit_that_cannot_be_set_breaks_the_pool_and_is_the_cause) {
  fault::arm("prlimit", 1, EPERM, 1'000'000);
  pool_options o = with(2);
  o.limits.cpu = 1000s;
  pool p(o);
  try {
    p.apply(square, 3);
    FAIL();
  } catch (const pool_broken& e) {
    try {
      std::rethrow_if_nested(e);
      FAIL();
    } catch (const std::system_error& cause) {
      EXPECT_EQ(cause.code().value(), EPERM);
    }
  }
}

TEST_P(rlimits_fault, one_worker_that_cannot_set_its_limit_is_replaced) {
  fault::arm("prlimit", 1, EPERM);
  pool_options o = with(1);
  o.limits.core = 0;
  pool p(o);
  EXPECT_EQ(p.map(square, first(100)), squares(100));
  EXPECT_TRUE(fault::fired());
}

TEST_P(rlimits_fault, memory_that_cannot_be_looked_at_is_told_at_once) {
  fault::arm("openat", 1, ENOENT);
  pool_options o = with(1);
  o.max_memory_per_child = 1024 * MiB;
  try {
    pool p(o);
    FAIL();
  } catch (const std::system_error& e) {
    EXPECT_EQ(e.code().value(), ENOENT);
  }
  EXPECT_TRUE(fault::fired());
}

TEST_P(rlimits_fault, a_worker_that_cannot_look_any_more_leaves) {
  pool_options o = with(1);
  o.max_memory_per_child = std::size_t{1} << 50;
  pool p(o);
  fault::arm("pread", 1, EIO, 1'000'000);
  const auto pids = p.map(
      {.chunksize = 3}, [](int) { return ::getpid(); }, first(3));
  EXPECT_EQ(std::set<pid_t>(pids.begin(), pids.end()).size(), 3U);
}

}  // namespace
}  // namespace procpool::testing
