// SPDX-License-Identifier: MIT
#include "base/memory_watch.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <limits>

namespace procpool::base {

memory_watch::memory_watch(std::size_t most)
    : file_(sys::check(sys::open("/proc/self/statm", O_RDONLY | O_CLOEXEC), "/proc/self/statm")),
      most_(most / static_cast<std::size_t>(::sysconf(_SC_PAGESIZE))) {}

bool memory_watch::over() const noexcept {
  std::array<char, 128> text;
  const ssize_t n = sys::pread(file_.get(), text.data(), text.size(), 0);
  return n <= 0 || anonymous_pages(text.data(), text.data() + n) > most_;
}

// proc(5): size resident shared ...; size and resident count what is shared, too.
std::size_t anonymous_pages(const char* from, const char* end) noexcept {
  constexpr std::size_t unknown = std::numeric_limits<std::size_t>::max();
  std::array<std::size_t, 3> fields{};
  for (std::size_t& field : fields) {
    while (from != end && *from == ' ') ++from;
    const auto [after, bad] = std::from_chars(from, end, field);
    if (bad != std::errc()) return unknown;
    from = after;
  }
  const auto [size, resident, shared] = fields;
  // Each is counted by itself while the process goes on: they may be apart for a moment.
  return resident < shared ? 0 : resident - shared;
}

}  // namespace procpool::base
