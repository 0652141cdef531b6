// SPDX-License-Identifier: MIT
#include "base/cgroup.h"

#include <fcntl.h>

#include <array>
#include <charconv>

#include "base/fd.h"
#include "base/sys.h"

namespace procpool::base {

std::string read_small(const std::string& path) {
  fd file(sys::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) return {};
  std::array<char, 4096> text;
  ssize_t n = sys::read(file.get(), text.data(), text.size());
  return n > 0 ? std::string(text.data(), static_cast<std::size_t>(n)) : std::string();
}

// The line "0::/path" of cgroups(7).
std::string own_cgroup() {
  std::string all = read_small("/proc/self/cgroup");
  std::size_t at = all.rfind("0::/", 0) == 0 ? 0 : all.find("\n0::/");
  if (at == std::string::npos) return {};
  at = all.find('/', at);
  return all.substr(at, all.find('\n', at) - at);
}

std::string cgroup_directory(const std::string& group) { return "/sys/fs/cgroup" + group; }

std::optional<std::uint64_t> oom_kills(const std::string& memory_events) {
  constexpr std::string_view name = "oom_kill ";
  std::size_t at = memory_events.rfind(name, 0) == 0 ? 0 : memory_events.find("\noom_kill ");
  if (at == std::string::npos) return std::nullopt;
  at = memory_events.find(' ', at) + 1;
  std::uint64_t count = 0;
  const char* end = memory_events.data() + memory_events.size();
  if (std::from_chars(memory_events.data() + at, end, count).ec != std::errc()) return std::nullopt;
  return count;
}

oom_watch::oom_watch(const std::string& directory)
    : file_(directory + "/memory.events"), seen_(oom_kills(read_small(file_)).value_or(0)) {}

bool oom_watch::claim(std::chrono::steady_clock::time_point now) {
  const std::uint64_t kills = oom_kills(read_small(file_)).value_or(seen_);
  if (now - at_ > std::chrono::seconds(1)) unclaimed_ = 0;
  if (kills > seen_) {
    unclaimed_ += kills - seen_;
    at_ = now;
  }
  seen_ = kills;
  if (unclaimed_ == 0) return false;
  --unclaimed_;
  return true;
}

}  // namespace procpool::base
