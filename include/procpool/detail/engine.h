// SPDX-License-Identifier: MIT
// The seam between the typed headers and the compiled core.
//
// Contract:
//  - Every function may be called from any thread of the process that made the engine; in another
//    process each throws wrong_process (the destructor and identity() do not).
//  - A batch is delivered to by one thread at a time and turns ready once; after that the engine
//  has
//    forgotten it. It turns ready whatever dies: with a value, or an error, for every item.
//  - A thread that waits drives the engine when no other does; one background thread drives it,
//  runs
//    continuations and meets deaths while nobody waits.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "procpool/detail/batch.h"
#include "procpool/detail/published.h"

namespace procpool {
struct pool_options;
struct pool_stats;
struct task_options;
struct worker_info;
}  // namespace procpool

namespace procpool::detail {

struct call_options {
  std::size_t chunksize = 0;  ///< items a message; 0: the engine chooses
  bool fail_fast = false;
  bool one_chunk = false;  ///< no more than `chunksize` items, in one message
  bool bounded = true;     ///< false: pool_options::max_pending is not for it
  std::size_t place = 0;   ///< of the first item in the input as the user sees it
  /// The user's, for limits and retries. Null: there are none.
  const task_options* limits = nullptr;
  /// When limits->deadline ends.
  std::chrono::steady_clock::time_point until = std::chrono::steady_clock::time_point::max();
  /// What the tasks read; held until none of them can run any more. Null: nothing.
  const std::shared_ptr<const published>* state = nullptr;
};

/// What was found when it was to be watched. Ready: it will not be told.
enum class watch_state { pending, ready, known };

class engine {
 public:
  using clock = std::chrono::steady_clock;
  static constexpr clock::time_point never = clock::time_point::max();

  virtual ~engine() = default;
  engine(const engine&) = delete;
  engine& operator=(const engine&) = delete;

  /// Encodes all of `input` on this thread and queues it, waiting for room where the pool is
  /// bounded; returns how many items that were. Throws pool_closed, or why the pool is broken;
  /// pool_full, task_timeout, pool_terminated instead of waiting (longer); what input throws.
  /// Everything already queued of this call is dropped then.
  virtual std::size_t submit(const std::shared_ptr<batch>& call, const entry_point& entry,
                             source& input, const call_options& options) = 0;
  /// submit(), then wait without end: the shortest way there and back.
  virtual std::size_t run(const std::shared_ptr<batch>& call, const entry_point& entry,
                          source& input, const call_options& options) = 0;

  /// True when `what` is ready; false when the deadline passed first. From a continuation it throws
  /// std::logic_error instead of waiting: the pool's own thread must not wait for itself.
  virtual bool wait(completion& what, clock::time_point deadline) = 0;
  /// Throws what wait() would throw here instead of waiting.
  virtual void check_wait() const = 0;
  /// Has `what` told to its watch when it turns ready, until unwatch(), which each must be given.
  virtual watch_state watch(watched& what) = 0;
  virtual void unwatch(watched& what) noexcept = 0;
  /// Runs `next` on the pool's thread once `what` is ready, at once when it is.
  virtual void then(completion& what, std::unique_ptr<continuation> next) = 0;
  /// Somebody wants to be told of the errors that nobody gets. Never in another process.
  [[nodiscard]] virtual bool reports_unobserved() const noexcept = 0;
  /// then(), for a result that was dropped; nothing once the pool is no more.
  virtual void drop(completion& what, std::unique_ptr<continuation> report) = 0;
  /// From a report: tells of the error, unless it is one that the caller has brought about.
  virtual void unobserved(const std::exception_ptr& error) const noexcept = 0;
  /// Turns `what`, which is no batch, ready.
  virtual void complete(completion& what) = 0;

  /// Fails with task_cancelled what of the call has not started, and stops what runs; the call is
  /// ready when that has ended. False: it had ended, or nothing of it could be cancelled any more.
  virtual bool cancel(batch& call) = 0;
  /// Something of it has started, and it has not ended. In another process: false.
  virtual bool started(batch& call) = 0;
  /// Nobody wants the call's results any more: drops what has not started.
  virtual void abandon(batch& call) = 0;
  /// Empties `box` into `to`.
  virtual void collect(inbox& box, std::vector<std::shared_ptr<batch>>& to) = 0;

  /// Encodes a value to where every worker can read it. Throws what submit() throws, and what
  /// `write` throws.
  virtual std::shared_ptr<const published> publish(const published_writer& write,
                                                   std::uint64_t type) = 0;
  /// Holds the value until withdraw(): tasks submitted from now on may read it.
  virtual void keep(std::shared_ptr<const published> value) = 0;
  /// Tasks submitted from now on must not read it; it goes when those submitted since keep() have
  /// ended. Throws procpool::error when there is no such value.
  virtual void withdraw(const published_name& name) = 0;

  virtual void close() = 0;
  virtual void terminate() = 0;
  /// Waits until all workers are gone; false when the deadline passed first. After close() or
  /// terminate() only, else std::logic_error.
  virtual bool join(clock::time_point deadline) = 0;
  /// Ends everything that outlives no pool: close() and join(), or terminate() and join(). In a
  /// forked copy of the process: lets go of this process's part only.
  virtual void shut_down(bool now) noexcept = 0;

  [[nodiscard]] virtual int processes() const = 0;
  /// What is submitted runs in submit() itself (start_method::in_process).
  [[nodiscard]] virtual bool caller_runs() const noexcept = 0;
  /// Throws std::invalid_argument, std::system_error, pool_closed, or why the pool is broken.
  virtual void resize(int processes) = 0;
  [[nodiscard]] virtual std::string to_string() const = 0;
  [[nodiscard]] virtual pool_stats stats() const = 0;
  [[nodiscard]] virtual std::vector<worker_info> workers() const = 0;

 protected:
  engine() = default;
};

/// What pool_options::processes is when it is 0. Throws std::invalid_argument for what the
/// environment says.
int default_processes();

/// Checks the options, starts the workers. Throws std::invalid_argument before anything is started,
/// std::system_error when the system refuses; nothing is left behind then.
std::shared_ptr<engine> make_engine(const pool_options& options);

}  // namespace procpool::detail
