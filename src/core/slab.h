// SPDX-License-Identifier: MIT
// Records by number: a vector with a free list. Numbers are reused, last freed first.
#pragma once

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
    records_.push_back(std::move(value));
    return static_cast<std::uint32_t>(records_.size() - 1);
  }
  void erase(std::uint32_t id) {
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
};

}  // namespace procpool::core
