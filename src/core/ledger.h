// SPDX-License-Identifier: MIT
// The counters behind pool::stats() and pool::workers(): a few additions for each task, always on.
// Guarded by the engine's lock.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/backend.h"
#include "procpool/stats.h"

namespace procpool::core {

class ledger {
 public:
  explicit ledger(std::uint32_t workers) : service_(workers) {}

  // ---- items
  void submitted(std::size_t items) noexcept { submitted_ += items; }
  /// They have left their worker, and their outcomes are being read: arrived() follows.
  void arriving(std::size_t items) noexcept { arriving_ += items; }
  void arrived(std::size_t items, std::size_t failed) noexcept {
    arriving_ -= items;
    done_ += items - failed;
    failed_ += failed;
  }
  /// Without having run.
  void failed(std::size_t items) noexcept { failed_ += items; }
  void retried() noexcept { ++retried_; }

  // ---- workers
  /// At least so many.
  void grow(std::uint32_t workers) {
    if (workers > service_.size()) service_.resize(workers);
  }
  /// One worker's time in its place.
  struct service {
    clock::time_point began;
    std::uint64_t answered = 0;
    std::chrono::nanoseconds busy{0};
  };
  void up(worker_id worker, clock::time_point now);
  /// `took` is the worker's word: believed as far as it has been there.
  void answered(worker_id worker, std::size_t items, std::uint64_t took, clock::time_point now);
  void died(worker_id worker) noexcept;
  /// As agreed. `recycled`: the pool goes on.
  void left(worker_id worker, bool recycled) noexcept;
  [[nodiscard]] const service& of(worker_id worker) const noexcept { return service_[worker]; }

  /// `held`: items that are with workers.
  [[nodiscard]] pool_stats stats(std::size_t held) const;

 private:
  void end(worker_id worker) noexcept;

  std::uint64_t submitted_ = 0;
  std::uint64_t arriving_ = 0;
  std::uint64_t done_ = 0;
  std::uint64_t failed_ = 0;
  std::uint64_t retried_ = 0;
  std::uint64_t started_ = 0;
  std::uint64_t died_ = 0;
  std::uint64_t recycled_ = 0;
  std::chrono::nanoseconds busy_{0};  // of those that are gone
  std::vector<service> service_;      // by worker
};

}  // namespace procpool::core
