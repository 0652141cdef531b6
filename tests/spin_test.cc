// SPDX-License-Identifier: MIT
#include "shm/spin.h"

#include <gtest/gtest.h>

#include <chrono>

#include "base/monotonic.h"

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
  EXPECT_TRUE(spinner(2).spin([&] { return ++looks == 2; }, [] { return false; }));
}

TEST(spinner, has_not_more_than_one_look_after_giving_way_in_vain) {
  spinner s(2);
  int looks = 0;
  EXPECT_FALSE(s.spin([&] { return ++looks == 3; }, [] { return false; }));
  EXPECT_EQ(looks, 2);
}

TEST(spinner, does_not_give_way_when_there_is_something_to_do_soon) {
  int looks = 0;
  EXPECT_FALSE(spinner(2).spin([&] { return ++looks == 2; }, [] { return false; }, 5ms));
  EXPECT_EQ(looks, 1);
}

std::chrono::nanoseconds spins_in_vain(spinner& s) {
  const auto from = std::chrono::steady_clock::now();
  EXPECT_FALSE(s.spin([] { return false; }, [] { return true; }));
  return std::chrono::steady_clock::now() - from;
}

TEST(spinner, spins_longer_where_being_woken_takes_longer) {
  const auto woken_late = [](spinner& s, bool elsewhere) {
    for (int i = 0; i < 100; ++i) {
      s.woken(base::monotonic(std::chrono::steady_clock::now() - 190us), elsewhere);
    }
  };
  spinner far(2);
  woken_late(far, true);
  EXPECT_GE(spins_in_vain(far), 350us);

  auto shortest = std::chrono::nanoseconds::max();
  for (int i = 0; i < 1000 && shortest >= 350us; ++i) {
    spinner near(2);
    woken_late(near, false);
    shortest = spins_in_vain(near);
  }
  EXPECT_LT(shortest, 350us);
}

TEST(spinner, spins_for_a_peer_on_another_cpu) {
  int looks = 0;
  EXPECT_TRUE(spinner(1'000'000).spin([&] { return ++looks == 1000; }, [] { return true; }));
}

class being_woken : public ::testing::Test {
 protected:
  /// `times` sleeps that ended so long after the peer's call.
  void took(std::chrono::nanoseconds so_long, int times = 100) {
    for (int i = 0; i < times; ++i) woken(called_ + 1'000'000, so_long);
  }
  void woken(std::uint64_t called, std::chrono::nanoseconds so_long) {
    called_ = called;
    wake_up_.ended(called, wake_up::clock::time_point(std::chrono::nanoseconds(called) + so_long));
  }
  std::chrono::nanoseconds takes() const { return wake_up_.takes(); }

  std::uint64_t called_ = 3'600'000'000'000;

 private:
  wake_up wake_up_;
};

TEST_F(being_woken, takes_what_it_took_lately) {
  took(120us);
  EXPECT_GT(takes(), 119us);
  EXPECT_LE(takes(), 120us);
  took(70us);
  EXPECT_GE(takes(), 70us);
  EXPECT_LT(takes(), 71us);
}

TEST_F(being_woken, is_worth_50_us_of_spinning_anywhere_and_200_at_most) {
  EXPECT_EQ(takes(), 50us);
  took(3us);
  EXPECT_EQ(takes(), 50us);
  took(400us);
  EXPECT_EQ(takes(), 200us);
}

TEST_F(being_woken, once_counts_little) {
  took(450us, 1);
  EXPECT_EQ(takes(), 100us);
  took(60us, 20);
  EXPECT_LT(takes(), 65us);
}

TEST_F(being_woken, late_because_others_had_the_cpu_says_nothing) {
  took(2ms);
  EXPECT_EQ(takes(), 50us);
}

TEST_F(being_woken, by_another_than_the_peer_says_nothing) {
  woken(called_, 50us);
  for (int i = 0; i < 100; ++i) woken(called_, 190us);
  EXPECT_EQ(takes(), 50us);
}

TEST_F(being_woken, by_a_peer_that_makes_up_the_time_does_no_harm) {
  for (const std::uint64_t called :
       {std::uint64_t{0}, std::uint64_t{1}, ~std::uint64_t{0}, std::uint64_t{1} << 63})
    for (const auto now :
         {0ns, 1ns, std::chrono::nanoseconds(1h), std::chrono::nanoseconds::max()}) {
      wake_up w;
      w.ended(called, wake_up::clock::time_point(now));
      EXPECT_GE(w.takes(), 50us);
      EXPECT_LE(w.takes(), 200us);
    }
}

}  // namespace
}  // namespace procpool::shm
