// SPDX-License-Identifier: MIT
// How much memory this process has of its own, against how much it may have. One descriptor, kept
// open: a look is one system call.
#pragma once

#include <cstddef>

#include "base/fd.h"

namespace procpool::base {

class memory_watch {
 public:
  /// For the process that makes it. Throws std::system_error: /proc cannot be read.
  explicit memory_watch(std::size_t most);

  /// It has more than `most` bytes of anonymous memory resident, inherited pages included; the
  /// kernel's count, which lags by some pages for each CPU. True as well when it cannot be read any
  /// more: whoever keeps a promise by it must not go on.
  [[nodiscard]] bool over() const noexcept;

 private:
  fd file_;
  std::size_t most_;  // pages
};

/// What /proc/self/statm says, in pages: resident less shared, which is anonymous memory. The
/// largest number there is: it says nothing.
std::size_t anonymous_pages(const char* from, const char* end) noexcept;

}  // namespace procpool::base
