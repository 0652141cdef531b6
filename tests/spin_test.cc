// SPDX-License-Identifier: MIT
#include "shm/spin.h"

#include <gtest/gtest.h>

#include <chrono>

namespace procpool::shm {
namespace {

using namespace std::chrono_literals;

class giving_way_to_a_peer : public ::testing::Test {
 protected:
  void gives_way(std::chrono::nanoseconds for_so_long, bool came) {
    const auto from = now_;
    now_ += for_so_long;
    decided_.gave_way(from, now_, came);
  }
  bool pays_after(std::chrono::nanoseconds so_long) { return decided_.pays(now_ += so_long); }

 private:
  giving_way::clock::time_point now_{1h};
  giving_way decided_;
};

TEST_F(giving_way_to_a_peer, pays_until_it_is_known_not_to) { EXPECT_TRUE(pays_after(0ns)); }

TEST_F(giving_way_to_a_peer, pays_while_answers_come) {
  for (int i = 0; i < 1000; ++i) {
    gives_way(200us, true);
    EXPECT_TRUE(pays_after(0ns));
  }
}

TEST_F(giving_way_to_a_peer, costs_no_more_than_a_hundredth_when_nothing_comes) {
  gives_way(1us, false);
  EXPECT_FALSE(pays_after(98us));
  EXPECT_TRUE(pays_after(1us));
}

TEST_F(giving_way_to_a_peer, costs_no_more_than_a_hundredth_when_another_has_the_cpu_for_long) {
  gives_way(4ms, true);
  EXPECT_FALSE(pays_after(395ms));
  EXPECT_TRUE(pays_after(1ms));
  gives_way(4ms, true);
  EXPECT_FALSE(pays_after(395ms));
}

TEST(spinner, looks_again_when_it_has_given_way) {
  int looks = 0;
  EXPECT_TRUE(spinner(100us).spin([&] { return ++looks == 2; }, [] { return false; }));
}

TEST(spinner, has_not_more_than_one_look_after_giving_way_in_vain) {
  spinner s(100us);
  int looks = 0;
  EXPECT_FALSE(s.spin([&] { return ++looks == 3; }, [] { return false; }));
  EXPECT_EQ(looks, 2);
}

TEST(spinner, does_not_give_way_when_there_is_something_to_do_soon) {
  int looks = 0;
  EXPECT_FALSE(spinner(100us).spin([&] { return ++looks == 2; }, [] { return false; }, 5ms));
  EXPECT_EQ(looks, 1);
}

TEST(spinner, spins_for_a_peer_on_another_cpu) {
  int looks = 0;
  EXPECT_TRUE(spinner(1h).spin([&] { return ++looks == 1000; }, [] { return true; }));
}

}  // namespace
}  // namespace procpool::shm
