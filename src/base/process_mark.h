// SPDX-License-Identifier: MIT
// Tells the process that made it from its forked copies, at the cost of a load: a page that the
// kernel zeroes in every child (MADV_WIPEONFORK, Linux 4.14).
#pragma once

#include <sys/mman.h>

#include <cstdint>

#include "base/sys.h"

namespace procpool::base {

class process_mark {
 public:
  /// Throws std::system_error.
  process_mark()
      : page_(static_cast<std::uint32_t*>(sys::check(
            sys::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
            "mmap"))) {
    if (sys::madvise(page_, size, MADV_WIPEONFORK) != 0) {
      int saved = errno;
      sys::munmap(page_, size);
      errno = saved;
      sys::raise("madvise(MADV_WIPEONFORK), which needs Linux 4.14");
    }
    *page_ = 1;
  }
  process_mark(const process_mark&) = delete;
  process_mark& operator=(const process_mark&) = delete;
  ~process_mark() { sys::munmap(page_, size); }

  [[nodiscard]] bool here() const noexcept { return *page_ == 1; }

 private:
  static constexpr std::size_t size = 4096;
  std::uint32_t* page_;
};

}  // namespace procpool::base
