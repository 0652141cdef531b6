// SPDX-License-Identifier: MIT
// The workers that this process has, as the system counts them.
#pragma once

#include <unistd.h>

#include <charconv>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>

#include "process_census.h"

namespace procpool::testing {

/// 0: there is no such process.
inline int parent_of(int pid) {
  std::ifstream stat("/proc/" + std::to_string(pid) + "/stat");
  std::string line;
  std::getline(stat, line);
  const auto name_end = line.rfind(')');
  return name_end == std::string::npos ? 0 : std::stoi(line.substr(name_end + 4));
}

/// What the zygotes of this process have made and not reaped; zombies do not count.
inline std::set<int> workers_of_this_process() {
  std::set<int> all;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    const std::string name = entry.path().filename().string();
    int pid = 0;
    if (std::from_chars(name.data(), name.data() + name.size(), pid).ec != std::errc()) continue;
    const int zygote = parent_of(pid);
    if (zygote != 0 && parent_of(zygote) == ::getpid() && is_alive(pid)) all.insert(pid);
  }
  return all;
}

}  // namespace procpool::testing
