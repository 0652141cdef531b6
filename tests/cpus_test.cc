// SPDX-License-Identifier: MIT
#include "base/cpus.h"

#include <gtest/gtest.h>
#include <sched.h>

#include "support/one_cpu.h"

namespace procpool::base {
namespace {

TEST(cpus_of_quota, rounds_up_to_whole_cpus) {
  EXPECT_EQ(cpus_of_quota("100000 100000\n"), 1);
  EXPECT_EQ(cpus_of_quota("200000 100000\n"), 2);
  EXPECT_EQ(cpus_of_quota("200001 100000"), 3);
  EXPECT_EQ(cpus_of_quota("50000 100000"), 1);
  EXPECT_EQ(cpus_of_quota("1 1000000"), 1);
}

TEST(cpus_of_quota, is_no_limit_when_there_is_none_or_it_makes_no_sense) {
  for (const char* text :
       {"max 100000\n", "", "\n", "100000", "100000 ", "100000 0", "0 100000", "-1 100000",
        "100000 -5", "a b", "99999999999999999999999 1", "100000 x"})
    EXPECT_EQ(cpus_of_quota(text), 0) << '"' << text << '"';
}

TEST(cpus_of_quota, does_not_overflow) {
  EXPECT_EQ(cpus_of_quota("1000000000000000000 1"), 1 << 20);
  EXPECT_GE(cpus_of_quota("9223372036854775807 1"), 1);
  EXPECT_GE(cpus_of_quota("9223372036854775807 9223372036854775807"), 1);
}

TEST(usable_cpus, is_at_least_one_and_no_more_than_the_affinity_mask) {
  cpu_set_t all;
  ASSERT_EQ(::sched_getaffinity(0, sizeof all, &all), 0);
  int now = usable_cpus();
  EXPECT_GE(now, 1);
  EXPECT_LE(now, CPU_COUNT(&all));
}

TEST(usable_cpus, follows_the_mask) {
  const testing::on_one_cpu here;
  EXPECT_EQ(usable_cpus(), 1);
}

}  // namespace
}  // namespace procpool::base
