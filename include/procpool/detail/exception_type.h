// SPDX-License-Identifier: MIT
// How one exception type travels, and how the compiled core comes to know of a user's. The typed
// side is made by procpool/exception.h.
#pragma once

#include <exception>
#include <typeinfo>

#include "procpool/detail/buffer.h"
#include "procpool/detail/rethrown.h"

namespace procpool::detail {

/// The type E, taken apart and made again. What is common to all (names, what(), cause, frames) is
/// not its business.
struct exception_type {
  const std::type_info* type;
  /// `e` is an E. Writes what it takes to make another one; throws what its functions throw.
  void (*encode)(writer& out, const void* e);
  /// Throws what E's constructor throws, serialization_error when the bytes are no E.
  std::exception_ptr (*decode)(reader& in, far_side&& from);
};

/// Makes a type known for as long as it lives: a static object, so a plug-in's goes with the
/// plug-in. May be made and destroyed by any thread, while others look types up. Throws
/// std::bad_alloc.
class exception_registration {
 public:
  explicit exception_registration(const exception_type& how);
  exception_registration(const exception_registration&) = delete;
  exception_registration& operator=(const exception_registration&) = delete;
  ~exception_registration();

 private:
  struct registered_exception* entry_;
};

}  // namespace procpool::detail
