// SPDX-License-Identifier: MIT
// The cold ends of reader (procpool/detail/buffer.h): kept out of line, so that a check in a user's
// translation unit costs a compare and a call that is never made.
#include "procpool/detail/buffer.h"

#include <sys/mman.h>

#include <cstdint>
#include <memory>
#include <string>

#include "base/sys.h"

namespace procpool::detail {

// NOLINTNEXTLINE(performance-unnecessary-value-param): who keeps it moves it
std::size_t writer::attach(std::shared_ptr<const attachment> /*what*/) {
  throw serialization_error("procpool: only an argument of a call can be given this along");
}

void prefer_huge_pages(void* at, std::size_t size) noexcept {
  constexpr std::uintptr_t page = 4096;
  const auto begin = (reinterpret_cast<std::uintptr_t>(at) + page - 1) / page * page;
  const auto end = (reinterpret_cast<std::uintptr_t>(at) + size) / page * page;
  if (begin < end) sys::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_HUGEPAGE);
}

void reader::too_short() {
  throw serialization_error("procpool: the bytes end before the value does");
}

void reader::too_deep() {
  throw serialization_error("procpool: a value is nested more than " + std::to_string(deepest) +
                            " levels deep");
}

}  // namespace procpool::detail
