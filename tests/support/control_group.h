// SPDX-License-Identifier: MIT
// A control group of a test's own, below the one this process is in, where the system lets us make
// one: a limit that really is there, for this test's processes alone.
#pragma once

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <string>

#include "process_census.h"

namespace procpool::testing {

/// Its files have the names of cgroup v2 or, where the controller is mounted so, of v1.
class control_group {
 public:
  /// `controller`: memory, pids. `limit`: the file that has its limit, in v1 and in v2.
  control_group(const std::string& controller, const std::string& limit_v1,
                const std::string& limit_v2) {
    std::ifstream lines("/proc/self/cgroup");
    for (std::string line; path_.empty() && std::getline(lines, line);) {
      const auto first = line.find(':');
      const auto second = line.find(':', first + 1);
      const std::string of = line.substr(first + 1, second - first - 1);
      const std::string group = line.substr(second + 1) + "/procpool-" + std::to_string(::getpid());
      if (of == controller) make("/sys/fs/cgroup/" + controller + group, limit_v1);
      if (of.empty()) make("/sys/fs/cgroup" + group, limit_v2);
    }
  }
  control_group(const control_group&) = delete;
  control_group& operator=(const control_group&) = delete;
  ~control_group() {
    if (exists()) eventually([this] { return ::rmdir(path_.c_str()) == 0 || errno != EBUSY; });
  }
  [[nodiscard]] bool exists() const { return !path_.empty(); }
  /// This process, and what it starts from now on.
  [[nodiscard]] bool enter() const {
    return write(path_ + "/cgroup.procs", std::to_string(::getpid()));
  }
  [[nodiscard]] bool limit(const std::string& to) const { return write(path_ + "/" + limit_, to); }

 private:
  static bool write(const std::string& file, const std::string& text) {
    std::ofstream to(file);
    to << text << std::flush;
    return to.good();
  }
  void make(const std::string& path, const std::string& limit) {
    if (::mkdir(path.c_str(), 0755) != 0) return;
    if (::access((path + "/" + limit).c_str(), W_OK) == 0) {
      path_ = path;
      limit_ = limit;
    } else {
      ::rmdir(path.c_str());
    }
  }
  std::string path_;
  std::string limit_;
};

}  // namespace procpool::testing
