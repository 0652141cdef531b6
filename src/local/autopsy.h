// SPDX-License-Identifier: MIT
// What a worker died of: put together from how its process ended, as the kernel says, and what it
// left in its window, which may be anything.
#pragma once

#include <memory>

#include "base/cgroup.h"
#include "core/event.h"
#include "procpool/error.h"
#include "shm/crash.h"

namespace procpool::local {

/// Asks the group's counter only after a SIGKILL. Looks no name up: some microseconds.
std::shared_ptr<const worker_died::details> examine(int pid, int status,
                                                    const resource_usage& usage,
                                                    const shm::crash& last,
                                                    const shm::stderr_ring& printed,
                                                    base::oom_watch& memory);

}  // namespace procpool::local
