// SPDX-License-Identifier: MIT
// An open descriptor as an argument:
//
//     long count_lines(procpool::fd file);  // read(file.get(), ...)
//     long n = pool.apply(count_lines, procpool::fd(open(path, O_RDONLY | O_CLOEXEC)));
//
// What is passed is what is open (the "open file description"): a file with its offset and flags,
// which both processes then share, a socket, a pipe, a memfd, anything.
#pragma once

#include <utility>

namespace procpool {

/// Owns a descriptor, and closes it; or is empty. Move-only; moved from, it is empty.
///
/// As an argument, at any depth of one, or a member of a function object: the call that submits it
/// makes a copy (F_DUPFD_CLOEXEC), so the caller may close its own at once; throws
/// std::system_error when that is refused (EMFILE, EBADF). The copy stays open in the caller's
/// process until the items of its chunk have ended, retries included: as many descriptors are in
/// use as items with one are pending. The task gets one of its own, close-on-exec. An empty fd
/// arrives empty. When the worker has no number left for it, the item fails with a
/// serialization_error in which the std::system_error is nested.
///
/// No result, nor bind()'s state, a shared value or an argument of an initializer: those are
/// refused by the compiler; where it cannot see the fd, because cereal functions of a type send it,
/// by serialization_error.
class fd {
 public:
  fd() noexcept = default;
  /// Owns `number` from now on; empty when it is negative.
  explicit fd(int number) noexcept : number_(number) {}
  fd(fd&& other) noexcept : number_(other.release()) {}
  fd& operator=(fd&& other) noexcept {
    if (this != &other) reset(other.release());
    return *this;
  }
  ~fd() { reset(); }

  /// Another number, close-on-exec, for what is open as `number`. Throws std::system_error.
  [[nodiscard]] static fd copy_of(int number);

  [[nodiscard]] int get() const noexcept { return number_; }
  [[nodiscard]] explicit operator bool() const noexcept { return number_ >= 0; }
  /// The number, whose closing is the caller's now; -1 when empty.
  [[nodiscard]] int release() noexcept { return std::exchange(number_, -1); }
  /// Closes what it owns, leaving errno alone, and owns `number`.
  void reset(int number = -1) noexcept;

 private:
  int number_ = -1;
};

}  // namespace procpool
