// SPDX-License-Identifier: MIT
#pragma once

#include <sched.h>

namespace procpool::testing {

/// While it lives this thread, and every process that it starts, run on the CPU it is on now.
class on_one_cpu {
 public:
  on_one_cpu() {
    ::sched_getaffinity(0, sizeof before_, &before_);
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(::sched_getcpu(), &one);
    ::sched_setaffinity(0, sizeof one, &one);
  }
  on_one_cpu(const on_one_cpu&) = delete;
  on_one_cpu& operator=(const on_one_cpu&) = delete;
  ~on_one_cpu() { ::sched_setaffinity(0, sizeof before_, &before_); }

 private:
  cpu_set_t before_;
};

}  // namespace procpool::testing
