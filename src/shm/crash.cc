// SPDX-License-Identifier: MIT
#include "shm/crash.h"

#include <algorithm>
#include <csignal>
#include <cstring>
#include <iterator>

namespace procpool::shm {
namespace {

template <std::size_t N>
std::string text_of(const char (&bytes)[N], const std::atomic<std::uint32_t>& size) {
  std::string text(bytes, std::min<std::size_t>(N, size.load(std::memory_order_acquire)));
  std::erase(text, '\0');
  return text;
}

}  // namespace

void clear(crash& c, stderr_ring& r) noexcept {
  c.signal.store(0, std::memory_order_relaxed);
  c.code = 0;
  c.sender = 0;
  c.address = 0;
  c.frames.store(0, std::memory_order_relaxed);
  c.type_size.store(0, std::memory_order_relaxed);
  c.text_size.store(0, std::memory_order_relaxed);
  r.end.store(0, std::memory_order_relaxed);
}

crash_report read(const crash& c) {
  crash_report r;
  const std::uint32_t signal = c.signal.load(std::memory_order_acquire);
  if (signal < NSIG) r.signal = static_cast<int>(signal);
  r.code = c.code;
  r.sender = c.sender;
  r.address = c.address;
  const auto frames =
      std::min<std::size_t>(std::size(c.stack), c.frames.load(std::memory_order_acquire));
  r.stack.assign(c.stack, c.stack + frames);
  r.type = text_of(c.type, c.type_size);
  r.text = text_of(c.text, c.text_size);
  return r;
}

std::string read(const stderr_ring& r) {
  const std::uint64_t end = r.end.load(std::memory_order_acquire);
  constexpr std::size_t size = sizeof r.bytes;
  std::string text(r.bytes, std::min<std::uint64_t>(end, size));
  if (end > size) {
    std::rotate(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(end % size), text.end());
    // Its first line has lost its beginning; unless it is all there is.
    if (const std::size_t line = text.find('\n'); line + 1 < text.size()) text.erase(0, line + 1);
  }
  std::erase(text, '\0');
  return text;
}

void append(stderr_ring& to, const char* from, std::size_t size) noexcept {
  constexpr std::size_t room = sizeof to.bytes;
  std::uint64_t end = to.end.load(std::memory_order_relaxed);
  if (size > room) {
    from += size - room;
    end += size - room;
    size = room;
  }
  const std::size_t at = end % room;
  const std::size_t first = std::min(size, room - at);
  std::memcpy(to.bytes + at, from, first);
  std::memcpy(to.bytes, from + first, size - first);
  to.end.store(end + size, std::memory_order_release);
}

}  // namespace procpool::shm
