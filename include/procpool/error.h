// SPDX-License-Identifier: MIT
// What can go wrong, one type for each thing a caller may want to tell apart.
//
// A task's failure is a value: it waits in the result and get() throws it. A pool's failure is an
// exception from the call that met it. Everything here derives from procpool::error unless said.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>

#include "procpool/stacktrace.h"

namespace procpool {

/// The base of everything procpool throws, but for std::invalid_argument and std::logic_error (the
/// caller's mistakes), std::system_error (the system refused something) and what a task threw.
class error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// get(d) or next(d) ran out of time. Nothing is lost: call it again.
class timeout_error : public error {
 public:
  timeout_error() : error("procpool: the result was not ready in time") {}
  using error::error;
};

/// cancel(), fail_fast, or a stream left early: the item never ran and never will, or it ran and
/// cancel() stopped it.
class task_cancelled : public error {
 public:
  task_cancelled() : error("procpool: the task was cancelled before it started") {}
  using error::error;
};

/// The item ran past task_options::timeout and was stopped; or the call's deadline came before its
/// end. It does not run any more.
class task_timeout : public error {
 public:
  enum class kind_type {
    timeout,   ///< of the item
    deadline,  ///< of the call
  };
  /// `index`: the item's place in its call's input; `pid`: of the worker that ran it, 0 for none.
  task_timeout(kind_type kind, std::chrono::nanoseconds limit, std::size_t index, pid_t pid);

  [[nodiscard]] kind_type kind() const noexcept { return kind_; }
  /// What was allowed.
  [[nodiscard]] std::chrono::nanoseconds limit() const noexcept { return limit_; }
  /// The place in the call's input; 0 for apply.
  [[nodiscard]] std::size_t index() const noexcept { return index_; }
  /// The worker that it ran in; 0 when it had not started.
  [[nodiscard]] pid_t pid() const noexcept { return pid_; }

 private:
  kind_type kind_;
  std::chrono::nanoseconds limit_;
  std::size_t index_;
  pid_t pid_;
};

/// terminate() was called while the result was pending.
class pool_terminated : public error {
 public:
  pool_terminated() : error("procpool: the pool was terminated before the task finished") {}
  using error::error;
};

/// Submitting after close() or terminate().
class pool_closed : public error {
 public:
  pool_closed() : error("procpool: the pool is closed: no more tasks can be submitted") {}
  using error::error;
};

/// The pool holds as much as pool_options::max_pending or max_pending_bytes allows, and the call
/// must not wait: task_options::when_full says so, or it was made where waiting would keep the pool
/// from making room (in a callback; under a task of an in_process pool). Nothing of the call runs
/// any more.
class pool_full : public error {
 public:
  pool_full()
      : error("procpool: the pool is full: max_pending or max_pending_bytes allows no more") {}
  using error::error;
};

/// The pool cannot run tasks any more, by no fault of a task: its zygote (the process that makes
/// workers) was killed, or the system lets it make no worker. Every pending result and every later
/// submit fails with this; what is known of the reason is nested (std::rethrow_if_nested).
class pool_broken : public error {
 public:
  using error::error;
};

/// The initializer threw or died in several workers running: every pending result and every later
/// submit fails with this. The initializer's own exception (or worker_died) is nested.
class initializer_failed : public error {
 public:
  using error::error;
};

/// An argument could not be decoded in the worker, or a result could not be encoded there or
/// decoded here. What the codec threw is nested. Only that item failed; the worker lives on.
class serialization_error : public error {
 public:
  using error::error;
};

/// f threw something that cannot be made again here and has no base that can: what() is
/// "<type name>: <its what()>".
class remote_error : public error {
 public:
  using error::error;
};

/// The pool was used in a process that did not make it (after a fork).
class wrong_process : public std::logic_error {
 public:
  wrong_process()
      : std::logic_error(
            "procpool: this pool belongs to another process; make one after the fork") {}
};

/// What a process has used in all its life, as getrusage(2) counts.
struct resource_usage {
  std::chrono::microseconds user_time{0};
  std::chrono::microseconds system_time{0};
  std::size_t max_rss = 0;  ///< bytes; of a forked process, what it shared with its parent as well
};

/// An exception that nobody caught, as far as it could be noted.
struct uncaught_exception {
  std::string type;  ///< demangled; empty: there was none
  std::string text;  ///< its what(), or the text that was thrown
  [[nodiscard]] bool empty() const noexcept { return type.empty() && text.empty(); }
};

/// The process ended under the task: a signal, exit(), _exit(), abort(), pthread_exit(), a kill
/// from outside. The item it was running failed with this; everything else the worker held was
/// re-run.
///
/// Copies share what is known; reading it is free but for the names in stack(). From any thread.
class worker_died : public error {
 public:
  enum class cause_type {
    exited,         ///< it left by itself: exit_code() says how
    signalled,      ///< its own doing: a fault, abort(), raise(), a limit it ran into
    killed,         ///< another process sent the signal, or it is one that others send: SIGKILL,
                    ///< SIGTERM, SIGHUP, SIGINT, SIGQUIT, SIGUSR1, SIGUSR2, the real-time ones
    out_of_memory,  ///< the kernel killed it for want of memory, as its cgroup's counter says
  };

  /// What is known of the end besides the wait status.
  struct details {
    std::optional<cause_type> cause;  ///< nothing: what the status tells
    std::optional<std::uintptr_t> fault_address;
    stacktrace stack;
    uncaught_exception exception;
    resource_usage usage;
    std::string stderr_tail;
  };

  /// `status` as wait(2) reports it; `index`: the item's place in its call's input; `known`: may be
  /// null.
  worker_died(pid_t pid, int status, std::size_t index,
              std::shared_ptr<const details> known = nullptr);

  /// Worker, signal or exit code, item, and the fault's address or the exception, in one line; and
  /// the first frames of stack(), when nobody catches it and std::terminate asks.
  [[nodiscard]] const char* what() const noexcept override;

  [[nodiscard]] pid_t pid() const noexcept { return pid_; }
  /// What it passed to exit(); -1 when a signal ended it.
  [[nodiscard]] int exit_code() const noexcept;
  /// The signal's number; 0 when it left by itself.
  [[nodiscard]] int signal() const noexcept;
  [[nodiscard]] cause_type cause() const noexcept;
  /// The place in the call's input of the item it died under; 0 for apply.
  [[nodiscard]] std::size_t index() const noexcept { return index_; }

  /// Of a fault (SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP): the address that was touched, or of the
  /// instruction. Nothing for a signal that was sent, and when the processor does not tell (a
  /// non-canonical address).
  [[nodiscard]] std::optional<std::uintptr_t> fault_address() const noexcept {
    return known_->fault_address;
  }
  /// Where it crashed, as far down as the task; at most 64 frames. Of the thread that got the
  /// signal. Empty after any other end, with pool_options::crash_traces off, and when the user's
  /// own handler took the signal; of a thread other than the worker's main one also after a stack
  /// overflow.
  [[nodiscard]] const stacktrace& stack() const noexcept { return known_->stack; }
  /// What std::terminate was called for. Or, with no type: what the C library said as it aborted
  /// ("free(): invalid pointer", a failed assert).
  [[nodiscard]] const uncaught_exception& exception() const noexcept { return known_->exception; }
  [[nodiscard]] const resource_usage& usage() const noexcept { return known_->usage; }
  /// The last lines, up to 2 KiB, that it wrote to C's stderr or to std::cerr and std::clog. What
  /// went to descriptor 2 by write(2), or from a program it started, is not seen.
  [[nodiscard]] const std::string& stderr_tail() const noexcept { return known_->stderr_tail; }

  [[nodiscard]] const std::shared_ptr<const details>& known() const noexcept { return known_; }

 private:
  pid_t pid_;
  int status_;
  std::size_t index_;
  std::shared_ptr<const details> known_;                   // never null
  mutable std::shared_ptr<const std::string> last_words_;  // for whoever was given them
};

/// What is known of the far side of an exception that a task threw. Every class-type exception
/// rethrown by get() also is one of these, unless nothing can be derived from its class (it is
/// final):
///
///     catch (const std::out_of_range& e) { if (auto* r = procpool::remote_info::of(e))
///     log(r->pid, r->stack); }
///
/// If nobody catches it and std::terminate prints its what(), that is what() with the type and the
/// first frames of the stack; whoever does catch it gets the far one's text and no more.
class [[gnu::visibility("default")]] remote_info {
 public:
  std::string type;  ///< the dynamic type's name as thrown, demangled
  std::string what;  ///< to the letter what its what() said; for what is no exception its value
  pid_t pid = 0;     ///< the worker that ran the task
  /// Where it was thrown, from there to the task's function: at most 64 frames. What was thrown in
  /// one place and rethrown in another (throw; std::rethrow_exception, another thread's) has the
  /// last. Empty for causes, and for what procpool itself says of an item.
  stacktrace stack;

  remote_info() = default;
  remote_info(const remote_info&) = default;
  remote_info(remote_info &&) = default;
  remote_info& operator=(const remote_info&) = default;
  remote_info& operator=(remote_info&&) = default;
  virtual ~remote_info();
  /// Null when e was thrown in this process.
  static const remote_info* of(const std::exception& e) noexcept {
    return dynamic_cast<const remote_info*>(&e);
  }
};

}  // namespace procpool
