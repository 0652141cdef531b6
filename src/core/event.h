// SPDX-License-Identifier: MIT
// What can happen to a pool's workers. A death is one more case, through the same door.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "procpool/error.h"

namespace procpool::detail {
class result_blocks;
}

namespace procpool::core {

using worker_id = std::uint32_t;
using task_id = std::uint32_t;
inline constexpr task_id no_task = ~task_id{0};

/// How a process ended: its pid and status as wait(2) reports it, and what else is known (null:
/// nothing).
struct fate {
  int pid = 0;
  int status = 0;
  std::shared_ptr<const worker_died::details> known = nullptr;
};

/// The worker's initializer is done: it takes tasks.
struct worker_up {
  worker_id worker;
};

/// What a worker made of a task, in its memory until backend::release.
struct task_reply {
  worker_id worker = 0;
  std::uint32_t ticket = 0;  ///< for backend::release
  task_id task = 0;
  std::uint32_t count = 0;  ///< items it was sent with
  std::uint32_t done = 0;   ///< items that ran to their end
  std::span<const std::byte> bytes;
  std::uint64_t nanoseconds = 0;
  int pid = 0;
  detail::result_blocks* blocks = nullptr;  ///< where vectors in it lie
};

/// The task ran as far as it will in this worker: to its end, or to where the worker retires or
/// was held.
struct task_finished {
  task_reply reply;
  bool retires;  ///< the worker leaves after it
};

/// A task whose items are calls of their own goes on; so far `done` of its items have ended.
struct task_progressed {
  task_reply reply;
};

/// What a worker is at: item `item` of the task runs, or will be the next to.
struct at_hand {
  task_id task = 0;
  std::uint32_t item = 0;
  bool running = false;
  std::chrono::steady_clock::time_point since;  ///< of a timed task's running item
};

/// What backend::signal asked for has been done.
struct signal_sent {
  worker_id worker;
};

/// A worker waits for a descriptor among the arguments of a task that it was sent: for what is
/// attached to the parcel under that number, if anything. Followed by backend::give.
struct descriptor_wanted {
  worker_id worker;
  task_id task;
  std::uint32_t number;
  std::uint32_t serial;  ///< for backend::give
};

/// The worker is gone. What it had been sent and not answered, oldest first: of the first one it
/// may have done a part, and may have been in the middle of the item after that.
struct worker_lost {
  struct task_left {
    task_reply reply;  ///< what it had finished of it
    bool started;      ///< item reply.done was running
  };
  worker_id worker;
  fate how;
  bool retired;  ///< it left as agreed: at its quota, with too much memory, or the pool closing
  std::vector<task_left> left;
};

/// No worker can be made any more: every pending result and later submit fails, each with an
/// exception of its own.
struct broken {
  bool by_initializer = false;  // initializer_failed, else pool_broken
  std::string why;
  std::exception_ptr cause;  // nested, when there is one
};

using event = std::variant<worker_up, task_finished, task_progressed, signal_sent, worker_lost,
                           broken, descriptor_wanted>;

}  // namespace procpool::core
