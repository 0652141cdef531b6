// SPDX-License-Identifier: MIT
// The published values that pool.share() keeps, and how long one that was withdrawn must stay.
//
// Time is cut into epochs, at each keep() and withdraw(). A parcel belongs to the epoch in which it
// was queued; a task can know a value only if it was submitted between the value's keep() and its
// withdraw(), so the value goes when no parcel of those epochs is left: neither a task that began
// before nor one that comes later holds it up. Used under the engine's lock.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <unordered_map>
#include <vector>

#include "procpool/detail/published.h"

namespace procpool::core {

class publications {
 public:
  using value = std::shared_ptr<const detail::published>;

  /// A parcel is queued; the epoch is to be given back to left().
  [[nodiscard]] std::uint64_t joined() noexcept {
    ++in_now_;
    return now_;
  }
  /// None of the parcel's tasks can run any more.
  void left(std::uint64_t epoch) noexcept {
    if (epoch == now_)
      --in_now_;
    else
      left_before(epoch);
  }

  void keep(value v);
  /// False: no such value is kept.
  bool withdraw(const detail::published_name& name);

 private:
  struct kept {
    value v;
    std::uint64_t since;  // the first epoch whose tasks may know it
    std::uint64_t until;  // the last one
  };
  void next_epoch();
  [[nodiscard]] bool in_use(const kept& k) const noexcept;
  void left_before(std::uint64_t epoch) noexcept;

  std::uint64_t now_ = 0;
  std::size_t in_now_ = 0;                         // parcels of this epoch
  std::map<std::uint64_t, std::size_t> in_older_;  // of earlier ones that have any
  std::unordered_map<std::uint64_t, kept> live_;   // by id
  std::vector<kept> withdrawn_;                    // and still in use
};

}  // namespace procpool::core
