// SPDX-License-Identifier: MIT
// A published value as it lies in a block: this head, then its bytes. The parent writes it before
// any worker hears of it, and takes it back by overwriting the id.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "procpool/detail/published.h"

namespace procpool::core {

struct record {
  std::atomic<std::uint64_t> id{0};  // 0: nothing is here
  std::uint64_t size = 0;            // of the bytes
  std::uint64_t type = 0;            // hash of the type's name
};
inline constexpr std::size_t record_head = detail::published_alignment;
static_assert(sizeof(record) <= record_head && std::atomic<std::uint64_t>::is_always_lock_free);

}  // namespace procpool::core
