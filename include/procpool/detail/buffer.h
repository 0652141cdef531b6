// SPDX-License-Identifier: MIT
// Bytes on their way: a writer that appends, a reader that never looks past the end.
//
// Every message, and every item in it that is read by itself, starts on a 16-byte boundary in both
// processes, so what align() aligned when writing is aligned for whoever reads it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <utility>
#include <vector>

#include "procpool/error.h"

namespace procpool::detail {

/// What a message needs besides its bytes. Whoever keeps the message keeps it, for as long.
class attachment {
 public:
  attachment(const attachment&) = delete;
  attachment& operator=(const attachment&) = delete;
  virtual ~attachment() = default;
  /// When it is an open descriptor: its number; else -1.
  [[nodiscard]] virtual int descriptor() const noexcept { return -1; }

 protected:
  attachment() = default;
};

/// Appends bytes to storage that belongs to a derived class. Used by one thread.
class writer {
 public:
  writer(const writer&) = delete;
  writer& operator=(const writer&) = delete;

  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] std::byte* data() noexcept { return data_; }
  [[nodiscard]] const std::byte* data() const noexcept { return data_; }

  /// Appends n bytes whose content the caller writes at once: growing moves them.
  std::byte* extend(std::size_t n) {
    if (n > capacity_ - size_) grow(n);
    std::byte* at = data_ + size_;
    size_ += n;
    return at;
  }
  void raw(const void* from, std::size_t n) {
    if (n != 0) std::memcpy(extend(n), from, n);
  }
  /// Pads with zeros to a multiple of `boundary`, a power of two of at most 16.
  void align(std::size_t boundary) {
    if (std::size_t pad = (boundary - size_ % boundary) % boundary; pad != 0)
      std::memset(extend(pad), 0, pad);
  }
  /// Takes back everything after the first n bytes.
  void truncate(std::size_t n) noexcept { size_ = n; }

  /// Whose memory is seen by whoever reads the message: what lies there (vector_memory::home) needs
  /// not be written but named, and attached. Null: nobody's.
  [[nodiscard]] const void* home() const noexcept { return home_; }

  /// Keeps `what` with the message, and returns its number there. Throws serialization_error where
  /// a message is bytes and nothing else.
  virtual std::size_t attach(std::shared_ptr<const attachment> what);

 protected:
  writer(std::byte* data, std::size_t capacity) noexcept : data_(data), capacity_(capacity) {}
  ~writer() = default;
  /// Makes capacity_ at least size_ + more, keeping the first size_ bytes; throws std::bad_alloc.
  virtual void grow(std::size_t more) = 0;

  std::byte* data_;
  std::size_t size_ = 0;
  std::size_t capacity_;
  const void* home_ = nullptr;
};

/// So much memory comes from a mapping of its own, which goes when it is freed (mallopt(3),
/// M_MMAP_THRESHOLD).
inline constexpr std::size_t own_mapping = std::size_t{32} << 20;
/// Of such memory that has not been written yet: let it come in huge pages, if there are any.
/// Faulting small ones costs more than the copy (docs/performance.md).
void prefer_huge_pages(void* at, std::size_t size) noexcept;

/// Over a vector of its own.
class heap_writer : public writer {
 public:
  std::vector<std::byte> take() {
    bytes_.resize(size_);
    data_ = nullptr;
    size_ = capacity_ = 0;
    return std::move(bytes_);
  }

 protected:
  heap_writer() noexcept : writer(nullptr, 0) {}
  ~heap_writer() = default;

 private:
  void grow(std::size_t more) override {
    bytes_.resize(capacity_ * 2 < size_ + more ? size_ + more : capacity_ * 2);
    data_ = bytes_.data();
    capacity_ = bytes_.size();
  }
  std::vector<std::byte> bytes_;
};

/// Where a message is bytes and nothing else.
class vector_writer final : public heap_writer {
 public:
  vector_writer() noexcept = default;
};

/// Reads what a writer wrote. The bytes may lie in memory that a hostile process still writes:
/// everything is taken once, and every count is held against the bytes that are left.
class reader {
 public:
  reader(const std::byte* data, std::size_t size) noexcept
      : begin_(data), at_(data), end_(data + size) {}

  [[nodiscard]] std::size_t left() const noexcept { return static_cast<std::size_t>(end_ - at_); }
  [[nodiscard]] std::size_t position() const noexcept {
    return static_cast<std::size_t>(at_ - begin_);
  }
  /// The next n bytes, in place.
  const std::byte* take(std::size_t n) {
    if (n > left()) too_short();
    const std::byte* at = at_;
    at_ += n;
    return at;
  }
  void raw(void* to, std::size_t n) {
    const std::byte* from = take(n);
    if (n != 0) std::memcpy(to, from, n);
  }
  void align(std::size_t boundary) { take((boundary - position() % boundary) % boundary); }

  /// Held while a value nested in another is read: a message cannot make us recurse without end.
  class level {
   public:
    explicit level(reader& r) : reader_(r) {
      if (++reader_.depth_ > deepest) too_deep();
    }
    level(const level&) = delete;
    level& operator=(const level&) = delete;
    ~level() { --reader_.depth_; }

   private:
    reader& reader_;
  };

  static constexpr int deepest = 1000;

  [[noreturn]] static void too_short();  ///< throws serialization_error
  [[noreturn]] static void too_deep();

 private:
  const std::byte* begin_;
  const std::byte* at_;
  const std::byte* end_;
  int depth_ = 0;
};

}  // namespace procpool::detail
