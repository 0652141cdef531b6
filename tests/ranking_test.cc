// SPDX-License-Identifier: MIT
#include "core/ranking.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <vector>

namespace procpool::core {
namespace {

TEST(ranking, is_empty_at_first) {
  ranking r;
  r.grow(3);
  EXPECT_EQ(r.lowest_from(0), ranking::none);
  EXPECT_EQ(r.highest_below(ranking::ranks), ranking::none);
  EXPECT_EQ(r.of(2), ranking::none);
}

TEST(ranking, keeps_the_order_in_which_they_came_and_put_again_is_last) {
  ranking r;
  r.grow(3);
  for (worker_id w : {0u, 1u, 2u}) r.put(w, 7);
  EXPECT_EQ(r.first(7), 0u);
  r.put(0, 7);
  EXPECT_EQ(r.first(7), 1u);
  EXPECT_EQ(r.last(7), 0u);
}

/// Held against lists that are searched.
TEST(ranking, agrees_with_a_plain_list_of_lists) {
  std::minstd_rand random(20);
  ranking r;
  r.grow(20);
  std::map<std::uint32_t, std::vector<worker_id>> model;
  const auto drop = [&](worker_id w) {
    for (auto& [rank, in] : model) std::erase(in, w);
    std::erase_if(model, [](const auto& m) { return m.second.empty(); });
  };
  for (int i = 0; i < 20'000; ++i) {
    const worker_id w = random() % 20;
    drop(w);
    if (random() % 3 == 0) {
      r.drop(w);
    } else {
      const auto rank = static_cast<std::uint32_t>(random() % ranking::ranks);
      r.put(w, rank);
      model[rank].push_back(w);
    }
    ASSERT_EQ(r.lowest_from(0), model.empty() ? ranking::none : model.begin()->first);
    const auto from = static_cast<std::uint32_t>(random() % ranking::ranks);
    const auto above = model.lower_bound(from);
    ASSERT_EQ(r.lowest_from(from), above == model.end() ? ranking::none : above->first);
    const auto bound = static_cast<std::uint32_t>(random() % (ranking::ranks + 1));
    const auto at = model.lower_bound(bound);
    ASSERT_EQ(r.highest_below(bound), at == model.begin() ? ranking::none : std::prev(at)->first);
    for (const auto& [rank, in] : model) {
      ASSERT_EQ(r.first(rank), in.front());
      ASSERT_EQ(r.last(rank), in.back());
      for (const worker_id each : in) ASSERT_EQ(r.of(each), rank);
    }
  }
}

}  // namespace
}  // namespace procpool::core
