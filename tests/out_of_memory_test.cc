// SPDX-License-Identifier: MIT
// A worker that the kernel kills for want of memory, in a control group that really has too little.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <fstream>
#include <string>
#include <vector>

#include "process_census.h"
#include "procpool/procpool.h"

namespace {

using procpool::testing::eventually;
using procpool::testing::in_a_child;

constexpr long limit = 64 << 20;

/// A group of 64 MiB below the one this process is in, where the system lets us make one.
class small_group {
 public:
  small_group() {
    std::ifstream lines("/proc/self/cgroup");
    for (std::string line; std::getline(lines, line);) {
      const auto first = line.find(':');
      const auto second = line.find(':', first + 1);
      const std::string of = line.substr(first + 1, second - first - 1);
      const std::string group = line.substr(second + 1) + "/procpool-" + std::to_string(::getpid());
      if (of == "memory" && make("/sys/fs/cgroup/memory" + group, "memory.limit_in_bytes")) return;
      if (of.empty() && make("/sys/fs/cgroup" + group, "memory.max")) return;
    }
  }
  small_group(const small_group&) = delete;
  small_group& operator=(const small_group&) = delete;
  ~small_group() {
    if (!path_.empty())
      eventually([this] { return ::rmdir(path_.c_str()) == 0 || errno != EBUSY; });
  }
  [[nodiscard]] bool exists() const { return !path_.empty(); }
  /// This process, and what it starts from now on.
  [[nodiscard]] bool enter() const {
    return write(path_ + "/cgroup.procs", std::to_string(::getpid()));
  }

 private:
  static bool write(const std::string& file, const std::string& text) {
    std::ofstream to(file);
    to << text << std::flush;
    return to.good();
  }
  bool make(const std::string& path, const std::string& limit_file) {
    if (::mkdir(path.c_str(), 0755) != 0) return false;
    if (write(path + "/" + limit_file, std::to_string(limit))) {
      path_ = path;
      return true;
    }
    ::rmdir(path.c_str());
    return false;
  }
  std::string path_;
};

TEST(out_of_memory, is_told_from_other_kills) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "the sanitizer's own memory is more than the group has";
#endif
  const small_group group;
  if (!group.exists()) GTEST_SKIP() << "no control group can be made here";
  EXPECT_TRUE(in_a_child([&group] {
    if (!group.enter()) return false;
    procpool::pool pool(1);
    using cause = procpool::worker_died::cause_type;
    try {
      pool.apply([] {
        std::vector<std::vector<char>> all;
        for (;;) all.emplace_back(1 << 20, 'x');
      });
      return false;
    } catch (const procpool::worker_died& e) {
      if (e.signal() != SIGKILL || e.cause() != cause::out_of_memory) return false;
      if (std::strstr(e.what(), "out of memory") == nullptr) return false;
    }
    try {
      pool.apply([] { ::raise(SIGKILL); });
      return false;
    } catch (const procpool::worker_died& e) {
      return e.cause() == cause::killed;
    }
  }));
}

}  // namespace
