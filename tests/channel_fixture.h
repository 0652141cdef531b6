// SPDX-License-Identifier: MIT
// A channel over plain heap memory of exactly its size: AddressSanitizer stands right behind the
// last byte, and both halves can be threads of one process.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <span>
#include <vector>

#include "shm/channel.h"

namespace procpool::shm {

/// Runs item k, which does nothing. The gate is open.
inline void step(detail::task_run& run, std::uint32_t k) {
  if (!run.starts(k)) std::abort();
  run.finished(k);
}

class channel_memory {
 public:
  explicit channel_memory(std::size_t results_size = 1 << 20, std::size_t parcels_size = 4096)
      : results_size_(results_size),
        head_block_(allocate(4096 + parcels_size)),
        window_block_(allocate(results_at + results_size)) {
    head_ = new (head_block_.get()) header{};
    head_->parcels_at = 4096;
    head_->parcels_size = parcels_size;
    window_ = new (window_block_.get()) window{};
  }

  [[nodiscard]] header& head() const { return *head_; }
  [[nodiscard]] window& own() const { return *window_; }
  [[nodiscard]] std::size_t results_size() const { return results_size_; }
  [[nodiscard]] std::byte* parcels() const { return head_block_.get() + 4096; }
  [[nodiscard]] const std::byte* results() const { return window_block_.get() + results_at; }
  [[nodiscard]] parent_half parent(std::uint32_t first = 0) const {
    return {*head_, *window_, results_size_, first};
  }
  [[nodiscard]] worker_half worker() const { return {*head_, *window_, results_size_, -1}; }
  /// The bytes lie where a worker can have written them.
  [[nodiscard]] bool contains(std::span<const std::byte> bytes) const {
    const std::byte* from = window_block_.get();
    return bytes.empty() || (bytes.data() >= from && bytes.size() <= results_at + results_size_ &&
                             bytes.data() + bytes.size() <= from + results_at + results_size_);
  }

 private:
  struct deleter {
    void operator()(std::byte* block) const { ::operator delete[](block, std::align_val_t{4096}); }
  };
  using block = std::unique_ptr<std::byte[], deleter>;
  static block allocate(std::size_t size) {
    auto* at = static_cast<std::byte*>(::operator new[](size, std::align_val_t{4096}));
    std::memset(at, 0, size);
    return block(at);
  }

  std::size_t results_size_;
  block head_block_;
  block window_block_;
  header* head_;
  window* window_;
};

/// A message whose parcel lies in the slot.
inline message message_of(std::uint32_t count, std::span<const std::byte> parcel = {}) {
  return {1, 2, 3, 0, count, parcel, in_slot};
}

}  // namespace procpool::shm
