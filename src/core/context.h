// SPDX-License-Identifier: MIT
// What code that runs in a worker can ask about where it runs: behind this_worker and shared
// values. One for each worker process; in_process has one for each pool, in force only while its
// tasks run.
#pragma once

#include <cstdint>

#include "core/shared_values.h"

namespace procpool::core {

struct context {
  std::uint32_t worker;  ///< its place in the pool: 0..processes
  shared_values values;  ///< what the pool has published
};

/// Null outside a worker. From any thread of a worker's process; of in_process, from the thread
/// that runs the task.
context* current_context() noexcept;

/// For a worker's whole process.
void enter_worker(context& c) noexcept;

/// For this thread, as long as it lives: a task of an in_process pool runs.
class context_scope {
 public:
  explicit context_scope(context& c) noexcept;
  context_scope(const context_scope&) = delete;
  context_scope& operator=(const context_scope&) = delete;
  ~context_scope();

 private:
  context* before_;
};

}  // namespace procpool::core
