// SPDX-License-Identifier: MIT
// A task's exception on its way from the worker to whoever waits for it. The worker calls
// encode_error in a handler; the parent's half is detail::decode_error (procpool/detail/batch.h).
#pragma once

#include <exception>
#include <utility>

#include "procpool/detail/batch.h"

namespace procpool::core {

/// Causes of causes that travel; what lies deeper is replaced by a note that says so.
inline constexpr std::uint32_t deepest_cause = 16;

/// Appends what the other process needs to throw `error` again: for each exception of the chain of
/// causes its type, its what() and, for a type in the table, what else it is made of. Throws what
/// growing `out` throws (std::bad_alloc), with a part of it written.
void encode_error(detail::writer& out, const std::exception_ptr& error);

/// `outer`, with `cause` nested in it; `outer` alone when that is null.
template <class E>
std::exception_ptr nest(E outer, const std::exception_ptr& cause) noexcept {
  if (!cause) return std::make_exception_ptr(std::move(outer));
  try {
    std::rethrow_exception(cause);
  } catch (...) {
    try {
      std::throw_with_nested(std::move(outer));
    } catch (...) {
      return std::current_exception();
    }
  }
}

}  // namespace procpool::core
