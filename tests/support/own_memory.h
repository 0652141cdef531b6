// SPDX-License-Identifier: MIT
// What a process has of memory, and more of it.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <fstream>
#include <stdexcept>

namespace procpool::testing {

inline constexpr std::size_t MiB = std::size_t{1} << 20;

/// Anonymous memory of this process that is resident, in bytes.
inline std::size_t own_memory() {
  std::ifstream statm("/proc/self/statm");
  std::size_t size = 0;
  std::size_t resident = 0;
  std::size_t of_files = 0;  // and shared memory
  statm >> size >> resident >> of_files;
  return (resident - of_files) * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

/// So much more for good. The kernel touches it, so that no sanitizer's shadow grows by it.
inline void leak(std::size_t bytes) {
  if (::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1,
             0) == MAP_FAILED)
    throw std::runtime_error("no memory to leak");
}

}  // namespace procpool::testing
