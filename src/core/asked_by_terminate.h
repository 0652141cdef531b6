// SPDX-License-Identifier: MIT
// An exception that nobody catches ends the process, and the standard library prints its what():
// the one moment at which that should be all there is to say.
#pragma once

#include <string>

#include "procpool/stacktrace.h"

namespace procpool::detail {

/// Called by a what(): it runs for std::terminate, not for somebody who caught the exception. A
/// walk of a few frames, about a microsecond. Where it cannot be told: false.
bool asked_by_terminate() noexcept;

/// The first frames, a line each, behind words that lead to them.
void append_first_frames(std::string& words, const stacktrace& stack);

}  // namespace procpool::detail
