// SPDX-License-Identifier: MIT
// A file descriptor that somebody owns: closed when its owner goes. Move-only.
#pragma once

#include <utility>

#include "base/sys.h"

namespace procpool::base {

class fd {
 public:
  fd() = default;
  explicit fd(int number) noexcept : number_(number) {}
  fd(fd&& other) noexcept : number_(other.release()) {}
  fd& operator=(fd&& other) noexcept {
    if (this != &other) reset(other.release());
    return *this;
  }
  ~fd() { reset(); }

  [[nodiscard]] int get() const noexcept { return number_; }
  explicit operator bool() const noexcept { return number_ >= 0; }
  /// The number; its closing is the caller's now.
  [[nodiscard]] int release() noexcept { return std::exchange(number_, -1); }
  /// Leaves errno as it was, so that cleaning up does not hide what went wrong.
  void reset(int number = -1) noexcept {
    if (const int old = std::exchange(number_, number); old >= 0) {
      const int error = errno;
      sys::close(old);
      errno = error;
    }
  }

 private:
  int number_ = -1;
};

}  // namespace procpool::base
