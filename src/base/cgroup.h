// SPDX-License-Identifier: MIT
// The control group that this process is in: its limits (v2), and what became of them.
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

/// The file that counts the processes of this one's group that the kernel has killed for want of
/// memory: memory.events; of cgroup v1, where memory is there, memory.oom_control (Linux 4.13).
std::string oom_counter();
/// What such a file's line oom_kill says. Nothing: it has no such line.
std::optional<std::uint64_t> oom_kills(const std::string& text);

/// Tells which of the processes that end by SIGKILL were such: each claims one kill that the
/// group's counter has gone up by. Kills of other processes in the group go up there too, so one
/// that nobody has claimed is forgotten after a second.
class oom_watch {
 public:
  /// `counter` is read now, and at each look.
  explicit oom_watch(std::string counter = oom_counter());
  /// Of a process that has ended by SIGKILL: it was for want of memory.
  bool claim(std::chrono::steady_clock::time_point now = std::chrono::steady_clock::now());

 private:
  std::string file_;
  std::uint64_t seen_;
  std::uint64_t unclaimed_ = 0;
  std::chrono::steady_clock::time_point at_;
};

}  // namespace procpool::base
