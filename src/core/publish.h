// SPDX-License-Identifier: MIT
// Writing a value into a block of its own, and taking it back: the parent's half of what
// shared_values.h reads.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "core/backend.h"
#include "procpool/detail/published.h"

namespace procpool::core {

/// Without any lock, on the calling thread: `write` is the user's code. `own_process`: false in a
/// forked copy, which must not take back what lies in memory of another process's pool; it and the
/// backend outlive the value.
std::shared_ptr<const detail::published> publish(backend& b,
                                                 const std::function<bool()>& own_process,
                                                 std::uint64_t id,
                                                 const detail::published_writer& write,
                                                 std::uint64_t type);

/// A source of ids: none comes twice in a pool, and none is met by chance in another's memory.
class id_source {
 public:
  id_source() noexcept;
  std::uint64_t next() noexcept;

 private:
  std::uint64_t state_;
};

}  // namespace procpool::core
