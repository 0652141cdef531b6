// SPDX-License-Identifier: MIT
#include "base/cgroup.h"

#include <fcntl.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

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

cgroups::cgroups() : text_(read_small("/proc/self/cgroup")) {}

// A line is "id:controllers:place"; cgroups(7).
std::string cgroups::of(std::string_view controllers) const {
  const std::string_view all = text_;
  for (std::size_t at = 0; at < all.size();) {
    const std::size_t end = std::min(all.find('\n', at), all.size());
    const std::size_t first = std::min(all.find(':', at), end);
    const std::size_t second = std::min(all.find(':', first + 1), end);
    if (second < end && all.substr(first + 1, second - first - 1) == controllers)
      return std::string(all.substr(second + 1, end - second - 1));
    at = end + 1;
  }
  return {};
}

std::string cgroup_directory(const std::string& group) { return "/sys/fs/cgroup" + group; }

std::optional<std::uint64_t> oom_kills(const std::string& text) {
  constexpr std::string_view name = "oom_kill ";
  std::size_t at = text.rfind(name, 0) == 0 ? 0 : text.find("\noom_kill ");
  if (at == std::string::npos) return std::nullopt;
  at = text.find(' ', at) + 1;
  std::uint64_t count = 0;
  const char* end = text.data() + text.size();
  if (std::from_chars(text.data() + at, end, count).ec != std::errc()) return std::nullopt;
  return count;
}

oom_watch::oom_watch(std::string counter)
    : file_(std::move(counter)), seen_(oom_kills(read_small(file_)).value_or(0)) {}

oom_watch::oom_watch(const cgroups& groups)
    : file_(cgroup_directory(groups.of("")) + "/memory.events") {
  const auto kills = oom_kills(read_small(file_));
  if (kills)
    seen_ = *kills;
  else
    *this = oom_watch("/sys/fs/cgroup/memory" + groups.of("memory") + "/memory.oom_control");
}

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
