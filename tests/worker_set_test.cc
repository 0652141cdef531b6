// SPDX-License-Identifier: MIT
#include "local/worker_set.h"

#include <gtest/gtest.h>

#include <vector>

namespace procpool::local {
namespace {

std::vector<std::uint32_t> all_of(const worker_set& s) {
  std::vector<std::uint32_t> all;
  s.each([&](std::uint32_t w) { all.push_back(w); });
  return all;
}

TEST(worker_set, has_whom_it_was_given_in_order) {
  worker_set s(4096);
  EXPECT_TRUE(s.empty());
  for (const std::uint32_t w : {64u, 0u, 4095u, 63u, 64u}) s.insert(w);
  EXPECT_EQ(all_of(s), (std::vector<std::uint32_t>{0, 63, 64, 4095}));
  EXPECT_FALSE(s.empty());
  s.erase(64);
  s.erase(1);  // is not there
  EXPECT_TRUE(s.contains(63));
  EXPECT_FALSE(s.contains(64));
  EXPECT_FALSE(s.contains(1));
  EXPECT_EQ(all_of(s), (std::vector<std::uint32_t>{0, 63, 4095}));
  for (const std::uint32_t w : {4095u, 63u, 0u}) s.erase(w);
  EXPECT_TRUE(s.empty());
}

TEST(worker_set, is_asked_until_one_says_yes) {
  worker_set s(100);
  for (const std::uint32_t w : {3u, 5u, 70u}) s.insert(w);
  std::vector<std::uint32_t> asked;
  const auto is_from = [&](std::uint32_t least) {
    return s.any([&](std::uint32_t w) {
      asked.push_back(w);
      return w >= least;
    });
  };
  EXPECT_TRUE(is_from(5));
  EXPECT_EQ(asked, (std::vector<std::uint32_t>{3, 5}));
  EXPECT_FALSE(is_from(71));
}

TEST(worker_set, may_lose_the_one_that_is_looked_at) {
  worker_set s(100);
  for (const std::uint32_t w : {3u, 5u, 70u}) s.insert(w);
  std::vector<std::uint32_t> seen;
  s.each([&](std::uint32_t w) {
    seen.push_back(w);
    s.erase(w);
  });
  EXPECT_EQ(seen, (std::vector<std::uint32_t>{3, 5, 70}));
  EXPECT_TRUE(s.empty());
}

}  // namespace
}  // namespace procpool::local
