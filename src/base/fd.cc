// SPDX-License-Identifier: MIT
#include "base/fd.h"

namespace procpool {

fd fd::copy_of(int number) {
  return fd(sys::check(sys::dup_cloexec(number, base::above_stdio), "fcntl(F_DUPFD_CLOEXEC)"));
}

// errno stays as it was, so that cleaning up does not hide what went wrong.
void fd::reset(int number) noexcept {
  const int old = std::exchange(number_, number);
  if (old < 0) return;
  const int error = errno;
  sys::close(old);
  errno = error;
}

}  // namespace procpool
