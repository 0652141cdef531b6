// SPDX-License-Identifier: MIT
// Keeps, in a worker, the last that it prints to stderr. In the worker's process alone.
//
// Descriptor 2 stays what it is, so that isatty(2), the order of what is printed, and programs that
// the worker starts are as without; C's stderr and C++'s cerr and clog write there as before, each
// piece at once, and note what they have written.
#pragma once

#include "shm/crash.h"

namespace procpool::local {

/// In a process that is a worker or whose forks are; nothing is kept yet. Leaves alone a stderr
/// that has no descriptor, or that somebody has given a buffer.
void tee_stderr();

/// Then, in the worker, from now on; `to` as long as the process lives.
void keep_stderr(shm::stderr_ring& to) noexcept;

}  // namespace procpool::local
