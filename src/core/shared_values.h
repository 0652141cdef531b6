// SPDX-License-Identifier: MIT
// Published values as a worker sees them: found by name, checked, and, where they are no plain
// bytes, decoded once. One for each worker process; an in_process pool has one of its own.
//
// What was decoded goes before the first task after the value was taken back, which the owner of
// the worker's loop sees to by calling tidy() between tasks.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <unordered_map>
#include <utility>

#include "procpool/detail/published.h"

namespace procpool::core {

class shared_values {
 public:
  /// The memory from published_name::at to the end of what may be read; empty when nothing can lie
  /// there. From any thread.
  using finder = std::function<std::span<const std::byte>(std::uint64_t at)>;

  /// `withdrawn` counts the values taken back, and outlives this.
  shared_values(const std::atomic<std::uint32_t>& withdrawn, finder find)
      : withdrawn_(withdrawn), find_(std::move(find)), seen_(withdrawn.load()) {}

  [[nodiscard]] std::span<const std::byte> find(const detail::published_name& name,
                                                std::uint64_t type) const;
  const void* decode(const detail::published_name& name, std::uint64_t type,
                     detail::published_maker make);

  /// While no task runs.
  void tidy() noexcept {
    if (withdrawn_.load(std::memory_order_relaxed) != seen_) drop_withdrawn();
  }

 private:
  struct decoded {
    std::uint64_t at;
    std::uint64_t type;
    std::shared_ptr<const void> object;
  };
  [[nodiscard]] std::span<const std::byte> look(const detail::published_name& name,
                                                std::uint64_t type) const;
  void drop_withdrawn() noexcept;

  const std::atomic<std::uint32_t>& withdrawn_;
  finder find_;
  std::uint32_t seen_;
  std::mutex mutex_;
  std::unordered_map<std::uint64_t, decoded> decoded_;  // by id; guarded by mutex_
};

}  // namespace procpool::core
