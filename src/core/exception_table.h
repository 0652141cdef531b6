// SPDX-License-Identifier: MIT
// The exception types that come back from a worker as themselves: the standard library's and
// procpool's own. A constant: nothing is built at run time, so a fork at any moment is harmless.
#pragma once

#include <exception>
#include <string_view>
#include <typeinfo>

#include "core/rethrown.h"
#include "procpool/detail/buffer.h"

namespace procpool::core {

/// How one type, E, travels. What is common to all (names, what(), cause) is not its business.
struct exception_type {
  const std::type_info* type;
  const std::type_info* rethrown;             ///< rethrown<E>: an E that has travelled before
  const std::type_info* rethrown_with_cause;  ///< the same
  /// `e` is an E. Writes what it takes to make another one.
  void (*encode)(detail::writer& out, const std::exception& e);
  /// Throws serialization_error when the bytes are no E.
  std::exception_ptr (*decode)(detail::reader& in, far_side&& from);
};

/// The entry of an exception's dynamic type; null: not in the table, whatever it derives from.
const exception_type* find_exception_type(const std::type_info& type) noexcept;
/// By E's mangled name.
const exception_type* find_exception_type(std::string_view name) noexcept;

/// The type that the thrower wrote: std::throw_with_nested and the iostreams throw implementation
/// types of libstdc++ in its place.
const std::type_info& type_as_written(const std::type_info& type) noexcept;

}  // namespace procpool::core
