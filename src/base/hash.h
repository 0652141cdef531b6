// SPDX-License-Identifier: MIT
// FNV-1a: for bytes that nobody chooses in order to collide.
#pragma once

#include <cstddef>
#include <cstdint>

namespace procpool::base {

inline constexpr std::uint64_t hash_start = 0xcbf29ce484222325;

/// Goes on from h, which is hash_start for the first bytes. Of a whole module's memory too, where a
/// sanitizer has put fences between the objects.
__attribute__((no_sanitize("address"))) inline std::uint64_t hash(const std::byte* from,
                                                                  std::size_t size,
                                                                  std::uint64_t h) noexcept {
  for (std::size_t k = 0; k < size; ++k)
    h = (h ^ static_cast<std::uint64_t>(from[k])) * 0x100000001b3;
  return h;
}

}  // namespace procpool::base
