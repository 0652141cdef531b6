// SPDX-License-Identifier: MIT
// Text that a process has printed and not yet written, before it is copied or left by _exit.
#pragma once

namespace procpool::base {

/// Writes out all of C's and C++'s output streams, without waiting for a thread that sits reading
/// standard input.
void flush_stdio() noexcept;

}  // namespace procpool::base
