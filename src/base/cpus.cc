// SPDX-License-Identifier: MIT
#include "base/cpus.h"

#include <sched.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>

#include "base/sys.h"

namespace procpool::base {
namespace {

int affinity() {
  // Larger machines than cpu_set_t's 1024 CPUs: the kernel says EINVAL until the mask is large
  // enough.
  for (std::size_t sets = 1; sets <= 64; sets *= 4) {
    std::array<cpu_set_t, 64> mask;
    if (sys::sched_getaffinity(0, sets * sizeof(cpu_set_t), mask.data()) < 0) continue;
    return CPU_COUNT_S(sets * sizeof(cpu_set_t), mask.data());
  }
  return 1;
}

}  // namespace

int cpus_of_quota(const std::string& cpu_max) {
  std::int64_t quota = 0;
  std::int64_t period = 0;
  const char* end = cpu_max.data() + cpu_max.size();
  auto [after, bad] = std::from_chars(cpu_max.data(), end, quota);
  if (bad != std::errc() || after == end) return 0;
  if (std::from_chars(after + 1, end, period).ec != std::errc() || quota <= 0 || period <= 0)
    return 0;
  return static_cast<int>(std::min<std::int64_t>((quota - 1) / period + 1, 1 << 20));
}

int usable_cpus(const cgroups& groups) {
  int cpus = affinity();
  for (std::string group = groups.of(""); !group.empty();) {
    const std::string dir = cgroup_directory(group);
    if (int quota = cpus_of_quota(read_small(dir + "/cpu.max")); quota > 0)
      cpus = std::min(cpus, quota);
    if (group == "/") break;
    group.resize(std::max<std::size_t>(group.rfind('/'), 1));
    if (group.size() > 1 && group.back() == '/') group.pop_back();
  }
  return std::max(cpus, 1);
}

}  // namespace procpool::base
