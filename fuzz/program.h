// SPDX-License-Identifier: MIT
// Places in this program, in bytes that are to outlive it.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

#include "base/entry.h"

namespace procpool::fuzz {

/// Puts the number by which this program's code is found, another one with each build, where the
/// bytes first ask for it.
inline void name_program(std::span<std::byte> bytes) {
  static const std::uint64_t id = base::modules().front().id;
  constexpr std::string_view marker = "PROGRAM!";
  static_assert(marker.size() == sizeof id);
  const auto at = std::search(bytes.begin(), bytes.end(), marker.begin(), marker.end(),
                              [](std::byte b, char c) { return b == static_cast<std::byte>(c); });
  if (at != bytes.end()) std::memcpy(&*at, &id, sizeof id);
}

}  // namespace procpool::fuzz
