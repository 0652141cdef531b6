// SPDX-License-Identifier: MIT
// pool_options::limits, in a worker.
#pragma once

#include <cstddef>

#include "procpool/options.h"

namespace procpool::local {

/// For this process, for good. `shared`: the addresses that it maps of the pool's memory, which do
/// not count. Throws std::system_error.
void set_limits(const worker_limits& asked, std::size_t shared);

}  // namespace procpool::local
