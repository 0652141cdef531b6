// SPDX-License-Identifier: MIT
#include "shm/spin.h"

#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "process_census.h"

namespace procpool::shm {
namespace {

using namespace std::chrono_literals;

constexpr auto here = [] { return false; };

class giving_way : public ::testing::Test {
 protected:
  /// How often it looks: once when it sleeps at once, twice when it gives the CPU away first.
  int looks(bool comes, std::chrono::milliseconds after) {
    int n = 0;
    spinner_.spin(
        [&] {
          if (++n == 1) return false;
          std::this_thread::sleep_for(after);
          return comes;
        },
        here);
    return n;
  }

 private:
  spinner spinner_{100us};
};

TEST_F(giving_way, goes_on_while_the_answer_comes) {
  for (int i = 0; i < 100; ++i) EXPECT_EQ(looks(true, 0ms), 2);
}

TEST_F(giving_way, is_left_out_after_it_was_in_vain) {
  EXPECT_EQ(looks(false, 100ms), 2);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(looks(true, 0ms), 1);
}

TEST_F(giving_way, is_left_out_after_another_process_kept_the_cpu_for_long) {
  EXPECT_EQ(looks(true, 100ms), 2);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(looks(true, 0ms), 1);
}

TEST_F(giving_way, is_tried_again_when_that_costs_a_hundredth) {
  EXPECT_EQ(looks(false, 1ms), 2);
  const auto start = std::chrono::steady_clock::now();
  EXPECT_TRUE(testing::eventually([&] { return looks(true, 0ms) == 2; }));
  EXPECT_GE(std::chrono::steady_clock::now() - start, 50ms);
}

}  // namespace
}  // namespace procpool::shm
