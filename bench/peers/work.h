// SPDX-License-Identifier: MIT
// The work items of the C++ peers; work.py is the same in Python.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <thread>
#include <vector>

namespace peers {

using blob = std::vector<std::uint8_t>;
constexpr std::size_t mebibyte = std::size_t{1} << 20;

inline int increment(int x) { return x + 1; }
inline blob same(blob b) { return b; }
inline int doze(int us) {
  std::this_thread::sleep_for(std::chrono::microseconds(us));
  return us;
}

}  // namespace peers
