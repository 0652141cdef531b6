// SPDX-License-Identifier: MIT
// What a process has for itself, as the kernel accounts for it.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <fstream>
#include <string>

namespace bench {

/// Bytes of pages that no other process maps: Private_Clean + Private_Dirty of smaps_rollup. Pages
/// still shared with who forked it, and libraries that others have too, are not among them.
inline std::size_t private_bytes(pid_t pid) {
  std::ifstream rollup("/proc/" + std::to_string(pid) + "/smaps_rollup");
  std::size_t kilobytes = 0;
  for (std::string word; rollup >> word;) {
    std::size_t some = 0;
    if ((word == "Private_Clean:" || word == "Private_Dirty:") && rollup >> some) kilobytes += some;
  }
  return 1024 * kilobytes;
}

}  // namespace bench
