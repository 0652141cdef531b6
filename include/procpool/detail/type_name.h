// SPDX-License-Identifier: MIT
// A number for a type, the same in every process of the program: two ends that mean different types
// do not take each other's bytes.
#pragma once

#include <cstdint>

namespace procpool::detail {

template <class T>
consteval std::uint64_t name_hash() {
  std::uint64_t h = 14695981039346656037ULL;  // FNV-1a
  for (const char* c = __PRETTY_FUNCTION__; *c != '\0'; ++c)
    h = (h ^ static_cast<unsigned char>(*c)) * 1099511628211ULL;
  return h;
}

}  // namespace procpool::detail
