// SPDX-License-Identifier: MIT
// What a task can ask about the worker that runs it.
//
// From any thread of a worker, in tasks, initializer and finalizer alike; in an in_process pool,
// whose only worker is the caller, from the thread that runs the task. None of it makes a system
// call or takes a lock, but stop_token().
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <stop_token>
#include <type_traits>
#include <typeinfo>

namespace procpool {
namespace detail {

/// The address of the worker's state, which must be of that type; throws std::logic_error.
void* worker_state(const std::type_info& wanted);

}  // namespace detail

namespace this_worker {

/// This code runs in a worker: there is a "this worker".
[[nodiscard]] bool exists() noexcept;

/// Its place in the pool: 0 .. processes-1. A replacement has its predecessor's. Outside: -1.
[[nodiscard]] int id() noexcept;

/// Its process; also in a process that a task has forked. Outside: -1.
[[nodiscard]] pid_t pid() noexcept;

/// Items it has begun so far, this one included: what max_tasks_per_child counts. A replacement
/// begins at 0 again. Outside: 0.
[[nodiscard]] std::uint64_t task_count() noexcept;

/// The item that runs here should end now, or it is made to: it has run past its timeout, or was
/// cancelled (stop_steps::token_grace). Costs as much as reading a number. Outside: false.
[[nodiscard]] bool stop_requested() noexcept;

/// The same as a token, for what takes one, and for callbacks (std::stop_callback), which run on a
/// thread of this worker that the first call starts. Of the item that runs: ask in each. In an
/// in_process pool nobody requests it. Outside: a token without state (stop_possible() is false).
/// Throws std::system_error when that thread cannot be started.
[[nodiscard]] std::stop_token stop_token();

/// What this worker's initializer returned: the same object in every task, until the worker has
/// retired and its finalizer has run; then it is destroyed. Of a worker that is killed it is not.
/// In the worker each task has it to itself, unless it starts threads. Throws std::logic_error,
/// which names both types, when the initializer returned another type or nothing, before it has
/// returned, and outside a worker.
template <class T>
[[nodiscard]] T& state() {
  static_assert(std::is_object_v<T>,
                "procpool: this_worker::state<T>() wants the type that the initializer returned, "
                "without reference");
  return *static_cast<T*>(detail::worker_state(typeid(T)));
}

}  // namespace this_worker
}  // namespace procpool
