// SPDX-License-Identifier: MIT
// A worker that the kernel kills for want of memory, in a control group that really has too little.
#include <gtest/gtest.h>

#include <csignal>
#include <cstring>
#include <string>
#include <vector>

#include "process_census.h"
#include "procpool/procpool.h"
#include "support/control_group.h"

namespace {

using procpool::testing::control_group;
using procpool::testing::in_a_child;

TEST(out_of_memory, is_told_from_other_kills) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "the sanitizer's own memory is more than the group has";
#endif
  const control_group group("memory", "memory.limit_in_bytes", "memory.max");
  if (!group.exists() || !group.limit(std::to_string(64 << 20)))
    GTEST_SKIP() << "no control group can be made here";
  EXPECT_TRUE(in_a_child([&group] {
    if (!group.enter()) return false;
    procpool::pool pool(1);
    using cause = procpool::worker_died::cause_type;
    try {
      pool.apply([] {
        std::vector<std::vector<char>> all;
        for (;;) all.emplace_back(1 << 20, 'x');
      });
      return false;
    } catch (const procpool::worker_died& e) {
      if (e.signal() != SIGKILL || e.cause() != cause::out_of_memory) return false;
      if (std::strstr(e.what(), "out of memory") == nullptr) return false;
    }
    try {
      pool.apply([] { ::raise(SIGKILL); });
      return false;
    } catch (const procpool::worker_died& e) {
      return e.cause() == cause::killed;
    }
  }));
}

}  // namespace
