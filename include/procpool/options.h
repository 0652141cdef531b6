// SPDX-License-Identifier: MIT
// What may be asked of a pool and of one call. Zero always means: the pool decides.
#pragma once

#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

#include "procpool/detail/batch.h"

namespace procpool {

/// How workers come to be.
enum class start_method {
  fork,        ///< copies of this process as it was when the pool was made: they see all of it
  forkserver,  ///< copies of one fresh execution of this program (init.h), made with the pool
  spawn,       ///< each a fresh execution of this program (init.h)
  in_process,  ///< no workers: tasks run in the calling thread, through the same code; for
               ///< debugging
};

/// A call to make later, in each worker: a callable and its arguments, encoded when the task is
/// made. Anything pool.apply takes may stand here (see codec.h); its result may be of any type.
/// Throws what encoding an argument throws.
class task {
 public:
  task() = default;
  template <class F, class... Args>
  requires(!std::same_as<std::remove_cvref_t<F>, task>)
      task(F f, Args&&... args);  // NOLINT(google-explicit-constructor): .initializer = load_model

  explicit operator bool() const noexcept { return call_ != nullptr; }

 private:
  friend struct detail::access;
  std::shared_ptr<const detail::encoded_call> call_;
};

/// How an item is made to stop that ran past its timeout, or was cancelled while it ran: three
/// steps, each of which may be left out, and each begun when the one before has not helped. An item
/// that ends by itself after one of them costs no worker: the worker goes on. What the item
/// returned or threw then is dropped; its result is task_timeout or task_cancelled all the same,
/// and comes when the item has ended: as soon as a result is there, nothing of the item runs any
/// more.
///
/// The default is the last step at once.
struct stop_steps {
  /// this_worker::stop_token() and stop_requested() say so; wait so long. 0: left out.
  std::chrono::nanoseconds token_grace{0};
  /// Send this signal to the worker (not to what the item has started); 0: left out. SIGTERM, say:
  /// a handler that the item has installed may end it well; without one it ends the worker.
  int signal = 0;
  /// Wait so long after the signal.
  std::chrono::nanoseconds signal_grace{0};
  // Then SIGKILL for the worker's process group, which takes along what its tasks have started and
  // not put into a group or session of their own. The worker is replaced.
};

/// What task_options::retries is for.
enum class retry_on {
  death,    ///< the worker died under the item
  timeout,  ///< the item ran past task_options::timeout
  both,
};

/// What each worker may have of the system, by setrlimit(2), from before its initializer on: soft
/// and hard limit, and no more than the hard limit of the process that it comes of. What a task
/// starts inherits them. Nothing: as it comes.
struct worker_limits {
  /// CPU time of the worker's whole life. Then SIGXCPU ends it (worker_died::signal()), or, should
  /// a handler of the task's take that, SIGKILL one second later. At least 1 s.
  std::optional<std::chrono::seconds> cpu = {};
  /// Bytes of addresses: everything mapped, used or not, but for the pool's own shared memory. An
  /// allocation beyond it throws std::bad_alloc, which is that item's failure alone; a stack that
  /// cannot grow is a crash. Not 0.
  std::optional<std::size_t> address_space = {};
  /// Bytes of private writable memory, used or not: heap, data, anonymous mappings (Linux 4.7). An
  /// allocation beyond it throws std::bad_alloc. The limit of memory to prefer. Not 0.
  std::optional<std::size_t> data = {};
  /// Descriptor numbers are below this. What the worker needs itself it has by then; a library that
  /// it has still to load (start_methods.md) needs one.
  std::optional<std::size_t> open_files = {};
  /// Bytes of a core file; 0: none.
  std::optional<std::size_t> core = {};
};

/// What a call does that finds no room in a bounded pool (pool_options::max_pending).
enum class when_full {
  wait,  ///< until there is room; those that wait are let in in the order they came
  fail,  ///< throws pool_full
};

struct pool_options {
  /// Workers. 0: the CPUs this process may use, which is its affinity, and no more than its
  /// cgroup's cpu.max rounded up; the environment variable PROCPOOL_PROCESSES, when set, says
  /// otherwise.
  int processes = 0;
  /// Run once in every worker, replacements too, before its first task. What it returns is kept
  /// there: this_worker::state<T>().
  task initializer = {};
  /// Replace a worker after it has called f this many times; 0: never. Exact for every chunksize.
  int max_tasks_per_child = 0;
  procpool::start_method start_method = procpool::start_method::fork;
  /// What a worker does for worker_died to have a stack, an exception and the last of stderr: it
  /// handles the signals of crashes (those that have their default action when it starts; a handler
  /// that a task installs replaces ours, and core files are as they would be), puts a handler
  /// before that of std::terminate, and lets C's stderr, std::cerr and std::clog pass through code
  /// of ours. false: none of it; cause, signal, exit code and usage are known all the same.
  bool crash_traces = true;
  /// Run in every worker that leaves as agreed (the pool closed or resized, a number of tasks, an
  /// amount of memory, an age or an idle time reached), after its last task's reply is on its way
  /// and before its state is destroyed; not in one whose initializer failed, and not when it dies
  /// or is killed (terminate). What it throws is dropped: there is nobody to tell. It costs no
  /// result, but join() waits for it, and so does the worker that takes the place.
  task finalizer = {};
  /// For all calls that say nothing else.
  procpool::stop_steps stop_steps = {};
  /// A worker that has had nothing to do for so long leaves, as long as there are more than
  /// min_processes; when there is more to do than there are workers, they are made again, up to
  /// `processes`. 0: they stay. Nothing wakes up for it in a pool that has shrunk. Nothing to an
  /// in_process pool, and so is max_worker_age.
  std::chrono::nanoseconds idle_timeout{0};
  int min_processes = 0;
  /// A worker is replaced so long after it was ready, when the item that it runs then has ended:
  /// one after the other, so that an initializer that takes its time leaves no gap. 0: never.
  std::chrono::nanoseconds max_worker_age{0};
  /// Replace a worker that has more memory of its own than so many bytes, resident: what it has
  /// allocated and touched, and with fork all that the process had when the pool was made; not
  /// code, nor what it shares with the pool. 0: no limit. Looked at after each task, and between
  /// the items of one (once in some 25 µs where they are shorter): the worker then leaves as
  /// agreed, and what it has not begun runs elsewhere. It runs one item at least. A look costs a
  /// microsecond or two. Nothing to an in_process pool. Throws std::system_error where /proc cannot
  /// be read.
  std::size_t max_memory_per_child = 0;
  /// Of each worker; not in an in_process pool.
  worker_limits limits = {};
  /// Items that are submitted and without their outcome, at most; 0: no bound. A call that finds no
  /// room waits (task_options::when_full); a map goes in message by message. Beyond it each thread
  /// that waits has one encoded message in its hand. Streams have a bound of their own, buffersize:
  /// their items do not count and never wait.
  std::size_t max_pending = 0;
  /// Bytes of such items' encoded arguments, at most; 0: no bound. A message that is larger by
  /// itself goes alone.
  std::size_t max_pending_bytes = 0;
  /// Called with an error that nobody gets: an async_result was dropped (destroyed, or assigned to)
  /// that holds one, or comes to hold one later. One that get() threw was got, so was one that
  /// then()'s on_error was given; any other goes on to the result that then() returned, and one of
  /// a std::future is that future's. Not for task_cancelled and pool_terminated, which the caller
  /// has brought about.
  ///
  /// It runs as callbacks do: on the pool's own thread, and must not wait for results there; in an
  /// in_process pool in the thread that drops the result. What it throws is dropped. A result that
  /// is dropped when its pool is no more is not reported. Empty: nothing is, and dropping a result
  /// costs nothing.
  std::function<void(std::exception_ptr)> on_unobserved_error = {};
};

/// Options of one call; always the first argument: pool.map({.chunksize = 64}, f, xs).
struct task_options {
  /// Items in a message. 0: chosen by the pool. Idle workers take un-started items back from busy
  /// ones whatever the chunksize is, so a large one costs no balance.
  std::size_t chunksize = 0;
  /// The longest that one item may run, from its start in the worker, also in the middle of a
  /// chunk: then it is stopped (stop_steps) and fails with task_timeout. 0: no limit. Kept to a
  /// fraction of a millisecond on an idle machine; costs nothing where there is none, and with one
  /// a reading of the clock for each item. Not in an in_process pool, where nobody could stop it.
  std::chrono::nanoseconds timeout{0};
  /// Times that an item is run again when its worker died under it, or it timed out; alone then.
  /// What fails for good has its earlier failures nested in it. Without retries no item is ever
  /// begun twice.
  int retries = 0;
  /// map, map_async, try_map: after the first failure drop what has not started; those items fail
  /// with task_cancelled.
  bool fail_fast = false;
  /// imap: items taken from the input and not yet yielded, at most; 0: 4 × processes × chunksize,
  /// and up to 16 times while they are small, 32 when chunksize is 1. imap reads as many before it
  /// returns; but once there is a result, an input that has taken 50 ms is left to next().
  std::size_t buffersize = 0;
  /// Which failures `retries` is for.
  procpool::retry_on retry_on = procpool::retry_on::both;
  /// Time between an item's failure and its next run; doubled for each run after that, up to a
  /// minute (or this, when it is longer).
  std::chrono::nanoseconds backoff{0};
  /// For the whole call, from its submission: what has not ended by then is stopped, or never
  /// starts, and fails with task_timeout. 0: none. Of imap, for the whole stream.
  std::chrono::nanoseconds deadline{0};
  /// How an item of this call is stopped; nothing: as pool_options::stop_steps says.
  std::optional<procpool::stop_steps> stop_steps = {};
  /// For a pool with max_pending or max_pending_bytes. The deadline counts while a call waits: an
  /// apply that is still waiting then throws task_timeout.
  procpool::when_full when_full = procpool::when_full::wait;
};

}  // namespace procpool
