// SPDX-License-Identifier: MIT
// Notes, in a worker, what it dies of, while it dies. In the worker's process alone; one a process.
//
// Signal handlers on a stack of their own write signal, address and frames into the window, then
// let the same signal end the process by its default action, so that wait status and core file are
// what they would have been. They call nothing that takes a lock: the frames are found by
// libgcc's unwinder (lock-free with glibc 2.35 and later; a clock ends the process should it hang
// with an older one), and named by the modules as they were known when the task began.
#pragma once

#include <cstdint>

#include "shm/crash.h"

namespace procpool::local {

/// What noting a crash needs to have called by name beforehand.
void look_up_unwinder();

/// In a process that is a worker or whose forks are. Handles those signals of crashes whose
/// disposition is the default one, and std::terminate, which then calls the handler that was there:
/// as if no handler had been there, until note_crashes. The alternate stack is the calling
/// thread's, which runs the tasks, or forks who does: other threads' handlers run on their own
/// stacks. Throws std::system_error.
void handle_crashes();

/// Then, in the worker, from now on; `to` as long as the process lives. `outermost`: the function
/// whose frame, and those below, nobody wants to see.
void note_crashes(shm::crash& to, const void* outermost) noexcept;

}  // namespace procpool::local
