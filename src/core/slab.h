// SPDX-License-Identifier: MIT
// Records by number: a vector with a free list. Numbers are reused, last freed first.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace procpool::core {

template <class T>
class slab {
 public:
  std::uint32_t insert(T value) {
    if (!free_.empty()) {
      std::uint32_t id = free_.back();
      free_.pop_back();
      records_[id] = std::move(value);
      return id;
    }
    make_room(1);
    records_.push_back(std::move(value));
    return static_cast<std::uint32_t>(records_.size() - 1);
  }
  /// The next n inserts need no memory. Returns how many numbers there can be without any more.
  std::size_t make_room(std::size_t n) {
    if (n <= free_.size()) return room_;
    const std::size_t needed = records_.size() + n - free_.size();
    if (needed > room_) {
      const std::size_t wanted = std::max(needed, 2 * room_);
      free_.reserve(wanted);  // so that erase needs none
      records_.reserve(wanted);
      room_ = wanted;
    }
    return room_;
  }
  void erase(std::uint32_t id) noexcept {
    records_[id] = T{};
    free_.push_back(id);
  }
  T& operator[](std::uint32_t id) noexcept { return records_[id]; }
  const T& operator[](std::uint32_t id) const noexcept { return records_[id]; }
  /// Records in use.
  [[nodiscard]] std::size_t size() const noexcept { return records_.size() - free_.size(); }

 private:
  std::vector<T> records_;
  std::vector<std::uint32_t> free_;
  std::size_t room_ = 0;  // of both
};

}  // namespace procpool::core
