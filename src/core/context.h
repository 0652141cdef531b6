// SPDX-License-Identifier: MIT
// What code that runs in a worker can ask about where it runs: behind this_worker and shared
// values. One for each worker process; in_process has one for each pool, in force only while its
// tasks run.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <memory>

#include "core/call_count.h"
#include "core/descriptors.h"
#include "core/shared_values.h"
#include "core/stop_request.h"
#include "procpool/detail/batch.h"
#include "procpool/detail/vector_memory.h"

namespace procpool::core {

struct context {
  /// In the process that is to run the tasks.
  context(std::uint32_t place, const std::atomic<std::uint32_t>& withdrawn,
          shared_values::finder find, std::shared_ptr<detail::vector_store> store,
          std::atomic<std::uint32_t>* asked = nullptr);

  /// The initializer's result, from when it has returned until drop_state(). From any thread.
  [[nodiscard]] const detail::kept_result* state() const noexcept {
    return state_.load(std::memory_order_acquire);
  }
  void keep(detail::kept_result made) noexcept;
  void drop_state() noexcept;

  const std::uint32_t worker;  ///< its place in the pool: 0..processes
  const pid_t pid;
  call_count calls;
  stop_request stop;     ///< of the item that runs
  shared_values values;  ///< what the pool has published
  const std::shared_ptr<detail::vector_store> vectors;
  /// Of the task that runs; null: there are none.
  descriptor_source* descriptors = nullptr;

 private:
  detail::kept_result kept_;
  std::atomic<const detail::kept_result*> state_{nullptr};
};

/// Null outside a worker. From any thread of a worker's process; of in_process, from the thread
/// that runs the task.
context* current_context() noexcept;

/// For a worker's whole process: `c` must live as long as that.
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
