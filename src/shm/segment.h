// SPDX-License-Identifier: MIT
// The memory of one pool: one memfd, which has no name in any file system and is sealed against
// being cut, mapped sparse.
// Pages come into being when they are touched and go when they are punched out, or with the last
// process.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/fd.h"
#include "shm/layout.h"

namespace procpool::shm {

class segment {
 public:
  /// In the parent. Asks for as many addresses as this machine's memory could ever fill, and for
  /// fewer when the address space is limited (RLIMIT_AS, RLIMIT_FSIZE, 39-bit arm64). Throws
  /// std::system_error.
  explicit segment(std::uint32_t workers);
  /// In a fresh execution of the parent's program: the same memory by its descriptor, header and
  /// parcels read-only. Throws std::system_error; procpool::error when it is no such memory.
  explicit segment(base::fd memory);
  segment(const segment&) = delete;
  segment& operator=(const segment&) = delete;
  ~segment();

  [[nodiscard]] header& head() const noexcept { return *head_; }
  [[nodiscard]] std::span<std::byte> parcels() const noexcept {
    return {base_ + head_size, parcels_size_};
  }
  [[nodiscard]] window& window_of(std::uint32_t worker) const noexcept {
    return *reinterpret_cast<window*>(windows_[worker]);
  }
  [[nodiscard]] int descriptor() const noexcept { return memory_.get(); }
  /// In the parent: adds windows, until there are so many. Throws std::system_error,
  /// std::bad_alloc; nothing has changed then.
  void grow(std::uint32_t workers);
  /// The size of each window's results.
  [[nodiscard]] std::size_t results_size() const noexcept { return window_size_ - results_at; }

  /// In the parent: where a window lies behind descriptor().
  [[nodiscard]] std::uint64_t place_of(const window& own) const noexcept;
  /// Whether any page there takes memory; it does, when the system does not tell.
  [[nodiscard]] bool takes_memory(std::uint64_t from, std::uint64_t to) const noexcept;

  /// The addresses that a worker maps of it.
  [[nodiscard]] std::size_t mapped_by_worker() const noexcept {
    return head_size + parcels_size_ + window_size_;
  }

  /// In the zygote: what the parent alone writes becomes read-only here and in every worker.
  void protect() const;
  /// In a worker: maps its window and lets go of the descriptor: it can reach no other.
  window& open_window(std::uint32_t worker);

 private:
  static constexpr std::size_t head_size = 4096;

  bool add_windows(std::uint32_t count) noexcept;
  void unmap() noexcept;

  base::fd memory_;
  std::vector<std::span<std::byte>> mapped_;  // what is to be unmapped
  std::byte* base_ = nullptr;                 // where the first begins: header and parcels
  header* head_ = nullptr;
  std::size_t parcels_size_ = 0;
  std::size_t window_size_ = 0;
  std::vector<std::byte*> windows_;  // none in a fresh execution
};

}  // namespace procpool::shm
