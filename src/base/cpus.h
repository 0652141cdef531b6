// SPDX-License-Identifier: MIT
// How many CPUs this process may use.
#pragma once

#include <string>

#include "base/cgroup.h"

namespace procpool::base {

/// The CPUs in this thread's affinity mask, and no more than the cgroup v2 quotas (cpu.max, rounded
/// up) of its cgroup and that one's ancestors; at least 1. What cannot be read does not limit.
int usable_cpus(const cgroups& groups = {});

/// A quota as cpu.max has it, "200000 100000" or "max 100000", in CPUs rounded up; 0: no limit, or
/// not a quota.
int cpus_of_quota(const std::string& cpu_max);

}  // namespace procpool::base
