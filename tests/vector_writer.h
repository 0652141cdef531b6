// SPDX-License-Identifier: MIT
// A writer over a vector, for tests of what is written and read without a pool.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "procpool/detail/buffer.h"

namespace procpool::test {

class vector_writer final : public detail::writer {
 public:
  vector_writer() : writer(nullptr, 0) {}
  /// A copy of exactly the bytes written: a sanitizer sees a read past its end.
  [[nodiscard]] std::vector<std::byte> bytes() const { return {data(), data() + size()}; }

 private:
  void grow(std::size_t more) override {
    storage_.resize(2 * (size_ + more));
    data_ = storage_.data();
    capacity_ = storage_.size();
  }

  std::vector<std::byte> storage_;
};

}  // namespace procpool::test
