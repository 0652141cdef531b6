// SPDX-License-Identifier: MIT
// An exception that nobody catches ends the process, and the standard library prints its what():
// the one moment at which that should be all there is to say.
#pragma once

namespace procpool::detail {

/// Called by a what(): it runs for std::terminate, not for somebody who caught the exception. A
/// walk of a few frames, about a microsecond. Where it cannot be told: false.
bool asked_by_terminate() noexcept;

}  // namespace procpool::detail
