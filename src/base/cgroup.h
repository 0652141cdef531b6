// SPDX-License-Identifier: MIT
// The control group (cgroup v2) that this process is in: its limits, and what became of them.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

namespace procpool::base {

/// This process's place in the hierarchy, "/a/b"; empty: there is none.
std::string own_cgroup();
/// Of a place in the hierarchy.
std::string cgroup_directory(const std::string& group);
/// The first 4 KiB of a file; empty when it cannot be read.
std::string read_small(const std::string& path);

/// How many processes of a group the kernel has killed for want of memory: the line oom_kill of its
/// memory.events. Nothing: the file has no such line.
std::optional<std::uint64_t> oom_kills(const std::string& memory_events);

/// Tells which of the processes that end by SIGKILL were such: each claims one kill that the
/// group's counter has gone up by. Kills of other processes in the group go up there too, so one
/// that nobody has claimed is forgotten after a second.
class oom_watch {
 public:
  /// `directory`: of the group; its counter is read now, and at each look.
  explicit oom_watch(const std::string& directory = cgroup_directory(own_cgroup()));
  /// Of a process that has ended by SIGKILL: it was for want of memory.
  bool claim(std::chrono::steady_clock::time_point now = std::chrono::steady_clock::now());

 private:
  std::string file_;
  std::uint64_t seen_;
  std::uint64_t unclaimed_ = 0;
  std::chrono::steady_clock::time_point at_;
};

}  // namespace procpool::base
