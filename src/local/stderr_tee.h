// SPDX-License-Identifier: MIT
// Keeps, in a worker, the last that it prints to stderr. In the worker's process alone.
//
// Descriptor 2 stays what it is, so that isatty(2), the order of what is printed, and programs that
// the worker starts are as without; C's stderr and C++'s cerr and clog write there as before, each
// piece at once, and note what they have written.
#pragma once

#include "shm/crash.h"

namespace procpool::local {

/// From now on; `to` as long as the process lives. Leaves alone a stderr that has no descriptor, or
/// that somebody has given a buffer.
void keep_stderr(shm::stderr_ring& to);

}  // namespace procpool::local
