// SPDX-License-Identifier: MIT
// Blocks for payloads larger than a slot, out of one range of shared memory.
//
// Buddy allocation over a range that is far larger than what is ever touched: rounding a size up to
// a power of two costs addresses, not memory. Freed blocks stay warm, for fresh pages are the enemy
// (0.9 GB/s against 5-40 for kept ones), up to a limit; beyond it their pages go back to the
// system. The bookkeeping lies in private memory: nobody else can spoil it. Not thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <set>
#include <vector>

namespace procpool::shm {

class arena {
 public:
  static constexpr unsigned least_order = 12;  // 4 KiB
  static constexpr std::size_t most_warm = std::size_t{256} << 20;

  /// Manages [base, base + size): page-aligned, shared memory, size at least one page.
  arena(std::byte* base, std::size_t size);

  /// A block of at least `size` bytes, page-aligned, contents unspecified. Throws std::bad_alloc.
  std::byte* allocate(std::size_t size);
  /// The very block at `block`, as if allocate() had given it out. False: it is not free, or no
  /// block of that size can lie there. Throws std::bad_alloc.
  bool reserve(std::byte* block, std::size_t size);
  /// `size` as it was asked for.
  void free(std::byte* block, std::size_t size) noexcept;
  /// The bytes a block of this size really has.
  static std::size_t capacity(std::size_t size) noexcept {
    return std::size_t{1} << order_of(size);
  }

  [[nodiscard]] std::size_t in_use() const noexcept { return in_use_; }
  [[nodiscard]] std::size_t warm() const noexcept { return warm_bytes_; }

 private:
  static unsigned order_of(std::size_t size) noexcept;
  bool split_from_cold(unsigned order, std::uint64_t& at);
  void give_back(std::uint64_t at, unsigned order) noexcept;
  void cool_down() noexcept;

  std::byte* base_;
  unsigned top_;                                  // order of the whole range
  std::vector<std::vector<std::uint64_t>> warm_;  // by order, last freed last
  std::vector<std::set<std::uint64_t>> cold_;     // by order, buddies joined
  std::size_t warm_bytes_ = 0;
  std::size_t in_use_ = 0;
};

}  // namespace procpool::shm
