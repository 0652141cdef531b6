// SPDX-License-Identifier: MIT
// A task's exception on its way from the worker to whoever waits for it. The worker calls
// encode_error in a handler; the parent's half is detail::decode_error (procpool/detail/batch.h).
#pragma once

#include <exception>
#include <span>
#include <utility>

#include "procpool/detail/batch.h"
#include "procpool/stacktrace.h"

namespace procpool::core {

/// Causes of causes that travel; what lies deeper is replaced by a note that says so.
inline constexpr std::uint32_t deepest_cause = 16;

/// An exception of a chain of causes, and where it was thrown.
struct thrown_at {
  const std::exception_ptr& error;
  std::span<const detail::place> places;
};

/// Appends what the other process needs to throw `error` again: for each exception of the chain of
/// causes its type, its what(), where it was thrown, as far as that is known, and what else the
/// nearest type that the other process can make is made of. Throws what growing `out` throws
/// (std::bad_alloc), with a part of it written.
void encode_error(detail::writer& out, const std::exception_ptr& error, thrown_at where);
inline void encode_error(detail::writer& out, const std::exception_ptr& error) {
  encode_error(out, error, {error, {}});
}

/// A std::bad_alloc, by nothing but what `out` has or gets: where there is no memory for
/// encode_error.
void encode_bad_alloc(detail::writer& out);

/// An E; with too little memory for one, what says so.
template <class E, class... Args>
std::exception_ptr make_error(Args&&... args) noexcept {
  try {
    return std::make_exception_ptr(E(std::forward<Args>(args)...));
  } catch (...) {
    return std::current_exception();
  }
}

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
