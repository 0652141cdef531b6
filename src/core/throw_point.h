// SPDX-License-Identifier: MIT
// Where the exception at hand was thrown: see procpool/detail/throw_probe.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <vector>

#include "procpool/stacktrace.h"

namespace procpool::core {

inline constexpr std::size_t most_frames = 64;

/// The frames of the throw of `error`, innermost first, down to the one that handles it (which the
/// task's function may be inlined into). `handler` is the __builtin_dwarf_cfa() of a function that
/// the handler called. Empty when no probe saw it thrown on this thread, or when it was asked for
/// before. Throws std::bad_alloc.
std::vector<detail::place> take_throw_point(const std::exception_ptr& error, const void* handler);

}  // namespace procpool::core
