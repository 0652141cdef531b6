// SPDX-License-Identifier: MIT
#include "local/bell.h"

#include <gtest/gtest.h>

#include <chrono>

namespace procpool::local {
namespace {

using namespace std::chrono_literals;

class waiting_for_nothing : public ::testing::Test {
 protected:
  waiting_for_nothing() { bell_.attend(false); }
  /// How often it looks whether there is something, until it returns.
  int looks(clock::time_point deadline, bool elsewhere) {
    int n = 0;
    bell_.wait(
        deadline, [&] { return ++n, false; }, [] { return false; }, [=] { return elsewhere; },
        [&] { return ++sleeps_, std::uint64_t{0}; });
    return n;
  }

  int sleeps_ = 0;  // that have ended
  shm::header head_{};
  bell bell_{head_};
};

TEST_F(waiting_for_nothing, whose_time_has_passed_looks_once) {
  for (const bool elsewhere : {false, true}) {
    EXPECT_EQ(looks(clock::time_point::min(), elsewhere), 1);
    EXPECT_EQ(looks(clock::now() - 1h, elsewhere), 1);
    EXPECT_EQ(looks(clock::now(), elsewhere), 1);
  }
}

TEST_F(waiting_for_nothing, lasts_until_its_time) {
  for (const bool elsewhere : {false, true}) {
    const auto deadline = clock::now() + 10ms;
    looks(deadline, elsewhere);
    EXPECT_GE(clock::now(), deadline);
  }
}

TEST_F(waiting_for_nothing, spins_for_a_peer_elsewhere_alone) {
  EXPECT_GT(looks(clock::now() + 10ms, true), 10);
  EXPECT_EQ(looks(clock::now() + 10ms, false), 2);
}

TEST_F(waiting_for_nothing, asks_who_called_after_each_sleep_alone) {
  looks(clock::time_point::min(), true);
  EXPECT_EQ(sleeps_, 1);
  looks(clock::now() + 10ms, true);
  EXPECT_EQ(sleeps_, 2);
}

TEST_F(waiting_for_nothing, does_not_sleep_for_what_has_come) {
  bell_.wait(
      clock::now() + 1h, [] { return true; }, [] { return false; }, [] { return true; },
      [&] { return ++sleeps_, std::uint64_t{0}; });
  EXPECT_EQ(sleeps_, 0);
}

}  // namespace
}  // namespace procpool::local
