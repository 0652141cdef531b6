// SPDX-License-Identifier: MIT
#include "local/rlimits.h"

#include <algorithm>

#include "base/sys.h"

namespace procpool::local {
namespace {

/// Without privileges nobody goes above the hard limit that there is: no limit is asked to.
void set(__rlimit_resource what, rlim_t soft, rlim_t hard) {
  struct rlimit now {};
  sys::check(sys::prlimit(what, nullptr, &now), "getrlimit");
  const struct rlimit then { std::min(soft, now.rlim_max), std::min(hard, now.rlim_max) };
  sys::check(sys::prlimit(what, &then, nullptr), "setrlimit");
}

}  // namespace

void set_limits(const worker_limits& asked, std::size_t shared) {
  if (asked.cpu) {
    const auto seconds = static_cast<rlim_t>(asked.cpu->count());
    set(RLIMIT_CPU, seconds, seconds + 1);
  }
  if (asked.address_space) {
    const rlim_t all = std::min<rlim_t>(*asked.address_space, RLIM_INFINITY - shared) + shared;
    set(RLIMIT_AS, all, all);
  }
  if (asked.data) set(RLIMIT_DATA, *asked.data, *asked.data);
  if (asked.open_files) set(RLIMIT_NOFILE, *asked.open_files, *asked.open_files);
  if (asked.core) set(RLIMIT_CORE, *asked.core, *asked.core);
}

}  // namespace procpool::local
