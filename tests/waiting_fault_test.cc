// SPDX-License-Identifier: MIT
// What waiting for a result takes, counted in system calls.
#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <string>
#include <thread>

#include "procpool/procpool.h"
#include "support/fault_test.h"
#include "support/one_cpu.h"

namespace procpool::testing {
namespace {

class waiting : public fault_test {
 protected:
  static std::uint64_t made(const std::string& call) {
    for (const fault::count& c : fault::counts())
      if (c.name == call) return c.calls;
    return 0;
  }
};
PROCPOOL_PROCESS_METHODS(waiting);

/// Longer than anybody spins.
int slow(int x) {
  std::this_thread::sleep_for(std::chrono::milliseconds(1));
  return x;
}

// The thread that waits sleeps on a set that nobody else does, and the set stays as it is.
TEST_P(waiting, for_one_call_after_the_other_changes_no_set) {
  pool p(with(1));  // with two, what the one has not begun may be given to the other
  for (int i = 0; i < 3; ++i) EXPECT_EQ(p.apply(slow, i), i);
  const auto sleeps = made("epoll_wait");
  const auto changes = made("epoll_ctl");
  EXPECT_TRUE(eventually([&] {
    EXPECT_EQ(p.apply(slow, 3), 3);
    return made("epoll_wait") - sleeps >= 20;
  })) << "it does not sleep";
  EXPECT_EQ(made("epoll_ctl") - changes, 0u);
}

int quick(int x) { return x; }

// What that gains is measured (bench/calls.cc): how the CPU is shared is the system's affair.
TEST_P(waiting, for_a_worker_on_the_same_cpu_lets_it_run) {
  const on_one_cpu all;
  pool p(with(1));
  const auto before = made("sched_yield");
  EXPECT_TRUE(eventually([&] {
    EXPECT_EQ(p.apply(quick, 1), 1);
    return made("sched_yield") != before;
  }));
}

}  // namespace
}  // namespace procpool::testing
