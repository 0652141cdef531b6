// SPDX-License-Identifier: MIT
// Insight: what a pool has done so far (pool::stats()) and what its workers are at
// (pool::workers()). Both are one look under the pool's lock, from any thread, and always on.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>

namespace procpool {

/// Items are calls of f: an apply is one, a map has one for each element; a snapshot_map has none
/// in any pool. Always, also while everything races:
///
///     submitted == done + failed + queued + running
struct pool_stats {
  std::uint64_t submitted = 0;  ///< items that the pool has taken
  std::uint64_t done = 0;    ///< of those, ended with a value; nobody may have wanted it (cancel())
  std::uint64_t failed = 0;  ///< ended with an error of whatever kind; dropped ones too
  std::uint64_t queued = 0;  ///< no worker has them
  std::uint64_t running = 0;  ///< with a worker: run, or are next there; or their result is being
                              ///< read
  std::uint64_t retried = 0;  ///< times that an item was to be run again (task_options::retries)

  std::uint64_t started = 0;  ///< workers that came to take tasks, replacements too
  std::uint64_t died = 0;     ///< of those, ended otherwise than agreed: a crash, a kill, a timeout
  std::uint64_t recycled = 0;  ///< of those, left as agreed (quota, memory, age, idle, resize)
                               ///< while the pool goes on
  /// That workers, by their own account, have spent in tasks that they have answered: in f, and in
  /// decoding and encoding. Of one worker never more than it has been there.
  std::chrono::nanoseconds busy{0};
};

enum class worker_state {
  starting,  ///< its initializer has not returned
  idle,
  busy,      ///< has items
  stopping,  ///< what it runs is being stopped (a timeout, cancel()), or it is (terminate())
  leaving,   ///< was told to leave, or has reached max_tasks_per_child
};

/// One worker, as this process sees it.
struct worker_info {
  int place = 0;  ///< this_worker::id() there, 0 to processes()-1; a replacement has the same
  int pid = 0;    ///< this_worker::pid() there
  worker_state state = worker_state::starting;
  /// The type of the callable that it runs, as the compiler writes it: tells where a lambda stands,
  /// and of a function that was passed as a pointer only what it takes and gives. Empty: it runs
  /// none.
  std::string function = {};
  std::size_t index = 0;  ///< of that item in the call's input
  /// When that began. Exact for an item with a timeout; else when this process sent the item's
  /// message to an idle worker, or read the reply before it. Without an item: since when it has
  /// none.
  std::chrono::steady_clock::time_point since = {};
  std::size_t holds = 0;             ///< items that it has been sent and not answered
  std::uint64_t answered = 0;        ///< items that it has run to their end and answered
  std::chrono::nanoseconds busy{0};  ///< see pool_stats::busy
};

}  // namespace procpool
