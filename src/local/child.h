// SPDX-License-Identifier: MIT
// What a fresh worker does, from its window to its last task. Runs in the worker.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "base/fd.h"
#include "procpool/detail/batch.h"
#include "shm/segment.h"

namespace procpool::local {

struct child_options {
  std::shared_ptr<const detail::encoded_call> initializer;  // or null
  std::uint32_t quota = 0;
  bool crash_traces = true;
};

/// Returns when the worker should end. `bells`: the eventfds of all workers; it keeps its own.
void live(shm::segment& memory, std::vector<base::fd>& bells, std::uint32_t worker,
          const child_options& options);

}  // namespace procpool::local
