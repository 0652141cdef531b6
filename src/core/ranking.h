// SPDX-License-Identifier: MIT
// Workers in ranks, each rank a list in the order in which they came: to put one, to drop one, and
// to find the lowest or highest rank that has any, all in constant time.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <vector>

#include "core/event.h"

namespace procpool::core {

class ranking {
 public:
  static constexpr std::uint32_t ranks = 256;
  static constexpr std::uint32_t none = ~std::uint32_t{0};

  void grow(std::uint32_t workers) { links_.resize(workers); }

  /// To the end of that rank, from wherever it stood.
  void put(worker_id worker, std::uint32_t rank) noexcept {
    drop(worker);
    list& l = lists_[rank];
    links_[worker] = {rank, l.last, none};
    (l.last != none ? links_[l.last].after : l.first) = worker;
    l.last = worker;
    taken_[rank / 64] |= bit(rank);
  }
  void drop(worker_id worker) noexcept {
    const link was = links_[worker];
    if (was.rank == none) return;
    list& l = lists_[was.rank];
    (was.before != none ? links_[was.before].after : l.first) = was.after;
    (was.after != none ? links_[was.after].before : l.last) = was.before;
    if (l.first == none) taken_[was.rank / 64] &= ~bit(was.rank);
    links_[worker] = {};
  }

  /// The rank it stands in, or none.
  [[nodiscard]] std::uint32_t of(worker_id worker) const noexcept { return links_[worker].rank; }
  [[nodiscard]] worker_id first(std::uint32_t rank) const noexcept { return lists_[rank].first; }
  [[nodiscard]] worker_id last(std::uint32_t rank) const noexcept { return lists_[rank].last; }
  /// The lowest of `rank` and those above it.
  [[nodiscard]] std::uint32_t lowest_from(std::uint32_t rank) const noexcept {
    std::uint64_t mask = ~(bit(rank) - 1);
    for (std::uint32_t i = rank / 64; i < taken_.size(); ++i, mask = ~std::uint64_t{0})
      if (const std::uint64_t some = taken_[i] & mask; some != 0)
        return i * 64 + static_cast<std::uint32_t>(std::countr_zero(some));
    return none;
  }
  /// The highest of those below `rank`.
  [[nodiscard]] std::uint32_t highest_below(std::uint32_t rank) const noexcept {
    for (std::uint32_t i = (rank + 63) / 64; i-- > 0;) {
      const std::uint64_t mask = rank - i * 64 >= 64 ? ~std::uint64_t{0} : bit(rank) - 1;
      if (const std::uint64_t some = taken_[i] & mask; some != 0)
        return i * 64 + static_cast<std::uint32_t>(std::bit_width(some)) - 1;
    }
    return none;
  }

 private:
  struct link {
    std::uint32_t rank = none;
    worker_id before = none, after = none;
  };
  struct list {
    worker_id first = none, last = none;
  };
  static std::uint64_t bit(std::uint32_t rank) noexcept { return std::uint64_t{1} << rank % 64; }

  std::vector<link> links_;  // by worker
  std::array<list, ranks> lists_;
  std::array<std::uint64_t, ranks / 64> taken_{};  // ranks that have any
};

}  // namespace procpool::core
