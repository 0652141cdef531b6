// SPDX-License-Identifier: MIT
#include "base/process_mark.h"

#include <gtest/gtest.h>

#include <thread>

#include "process_census.h"

namespace procpool::base {
namespace {

using procpool::testing::in_a_child;

TEST(process_mark, is_set_where_it_was_made_in_every_thread) {
  process_mark mark;
  EXPECT_TRUE(mark.here());
  bool there = false;
  std::thread([&] { there = mark.here(); }).join();
  EXPECT_TRUE(there);
}

TEST(process_mark, is_wiped_in_a_fork_and_in_the_forks_of_a_fork) {
  process_mark mark;
  EXPECT_TRUE(in_a_child([&] { return !mark.here(); }));
  EXPECT_TRUE(in_a_child([&] { return bool(in_a_child([&] { return !mark.here(); })); }));
  EXPECT_TRUE(mark.here()) << "the copy's is not the original's";
}

TEST(process_mark, one_made_in_a_fork_is_that_processs_own) {
  EXPECT_TRUE(in_a_child([] {
    process_mark mine;
    return mine.here() && bool(in_a_child([&] { return !mine.here(); })) && mine.here();
  }));
}

}  // namespace
}  // namespace procpool::base
