// SPDX-License-Identifier: MIT
// The encoded input of some items of a call. Kept until all of them have their outcome, so that
// what a dead worker had not started is sent again without asking the user's objects.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "core/backend.h"
#include "procpool/detail/buffer.h"
#include "procpool/detail/published.h"

namespace procpool::core {

class parcel {
 public:
  explicit parcel(backend& owner) noexcept : backend_(owner) {}
  parcel(parcel&& other) noexcept
      : state(std::move(other.state)),
        attached(std::move(other.attached)),
        backend_(other.backend_),
        heap_(std::move(other.heap_)),
        block_(std::exchange(other.block_, {})),
        data_(other.is_small() ? small_.data() : other.data_),
        size_(other.size_) {
    if (is_small()) std::memcpy(data_, other.data_, size_);
  }
  parcel(const parcel&) = delete;
  parcel& operator=(const parcel&) = delete;
  ~parcel() {
    if (block_.data != nullptr) backend_.free(block_);
  }

  [[nodiscard]] std::span<const std::byte> bytes() const noexcept { return {data_, size_}; }
  [[nodiscard]] bool in_block() const noexcept { return block_.data != nullptr; }
  /// No more bytes than have room in the parcel itself.
  [[nodiscard]] bool is_small() const noexcept { return data_ == small_.data(); }

  std::size_t base = 0;      // the call's item that is the parcel's first
  std::uint32_t users = 0;   // tasks that read it; guarded by the engine's lock
  std::uint32_t to_end = 0;  // of those the ones that have items
  std::uint64_t epoch = 0;   // see publications
  parcel* next = nullptr;    // in the engine's list of those that are no task's any more
  std::size_t counted = 0;   // of its bytes, against max_pending_bytes
  std::shared_ptr<const detail::published> state;  // what its tasks read, or null
  std::vector<std::shared_ptr<const detail::attachment>> attached;

 private:
  friend class parcel_writer;
  static constexpr std::size_t small_size = 64;

  backend& backend_;
  alignas(16) std::array<std::byte, small_size> small_;
  std::unique_ptr<std::byte[]> heap_;
  block block_;
  std::byte* data_ = small_.data();
  std::size_t size_ = 0;
};

/// Fills a parcel: in place while it is small, on the heap while a copy is cheap, then in a block
/// that workers read directly.
class parcel_writer final : public detail::writer {
 public:
  explicit parcel_writer(parcel& p) noexcept
      : writer(p.small_.data(), p.small_.size()), parcel_(p) {
    home_ = &p.backend_;
  }
  void finish() noexcept {
    parcel_.data_ = data_;
    parcel_.size_ = size_;
  }
  std::size_t attach(std::shared_ptr<const detail::attachment> what) override {
    parcel_.attached.push_back(std::move(what));
    return parcel_.attached.size() - 1;
  }

 private:
  static constexpr std::size_t most_on_heap = 16384;

  void grow(std::size_t more) override {
    std::size_t wanted = size_ + more < capacity_ * 2 ? capacity_ * 2 : size_ + more;
    if (wanted <= most_on_heap) {
      std::unique_ptr<std::byte[]> heap(new std::byte[wanted]);
      std::memcpy(heap.get(), data_, size_);
      parcel_.heap_ = std::move(heap);
      data_ = parcel_.heap_.get();
      capacity_ = wanted;
      return;
    }
    block b = parcel_.backend_.allocate(wanted);
    std::memcpy(b.data, data_, size_);
    if (parcel_.block_.data != nullptr) parcel_.backend_.free(parcel_.block_);
    parcel_.block_ = b;
    parcel_.heap_.reset();
    data_ = b.data;
    capacity_ = b.size;
  }

  parcel& parcel_;
};

}  // namespace procpool::core
