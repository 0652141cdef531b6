// SPDX-License-Identifier: MIT
// The control groups that this process is in: their limits (v2), and what became of those.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace procpool::base {

/// This process's, as they are when this is made: /proc/self/cgroup takes the kernel 30 µs to
/// write.
class cgroups {
 public:
  cgroups();
  /// Its place in the hierarchy of these controllers, "/a/b"; v2's is that of "". Empty: there is
  /// none.
  [[nodiscard]] std::string of(std::string_view controllers) const;

 private:
  std::string text_;
};
/// Of a place in the v2 hierarchy.
std::string cgroup_directory(const std::string& group);
/// The first 4 KiB of a file; empty when it cannot be read.
std::string read_small(const std::string& path);

/// What the line oom_kill says in memory.events; or, of cgroup v1, in memory.oom_control
/// (Linux 4.13): how many of a group's processes the kernel has killed for want of memory. Nothing:
/// there is no such line.
std::optional<std::uint64_t> oom_kills(const std::string& text);

/// Tells which of the processes that end by SIGKILL were such: each claims one kill that the
/// group's counter has gone up by. Kills of other processes in the group go up there too, so one
/// that nobody has claimed is forgotten after a second.
class oom_watch {
 public:
  /// `counter`: a file that oom_kills() understands, read now and at each look.
  explicit oom_watch(std::string counter);
  /// That of the group in v2; where memory is v1's, of the one there.
  explicit oom_watch(const cgroups& groups);
  /// Of a process that has ended by SIGKILL: it was for want of memory.
  bool claim(std::chrono::steady_clock::time_point now = std::chrono::steady_clock::now());

 private:
  std::string file_;
  std::uint64_t seen_ = 0;
  std::uint64_t unclaimed_ = 0;
  std::chrono::steady_clock::time_point at_;
};

}  // namespace procpool::base
