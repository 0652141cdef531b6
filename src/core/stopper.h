// SPDX-License-Identifier: MIT
// Which workers are being stopped, at what and why, and which step comes when the last one has not
// helped. It is told and asked, as the scheduler is; it takes the time as an argument.
//
// A worker that stands here is held (backend::hold): the item of its order is the only one that can
// be running there, until end(). Nor may it be let go while a signal is on its way to it, which is
// meant for that item and no other.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <vector>

#include "core/backend.h"
#include "procpool/options.h"

namespace procpool::core {

enum class stop_reason { timeout, deadline, cancelled };

class stopper {
 public:
  /// What a worker that runs nothing has for answering, before its end: it may be stuck between two
  /// items.
  static constexpr std::chrono::milliseconds patience{50};

  struct order {
    task_id task;  ///< no_task: its item has ended
    std::uint32_t item;
    bool running;  ///< false: no item does; all that is waited for is the task's answer
    stop_reason why;
    stop_steps steps;
  };
  enum class step { token, signal, kill };
  struct due {
    worker_id worker;
    step what;
    int signal;
  };

  explicit stopper(std::uint32_t workers) : entries_(workers) {}
  /// At least so many.
  void grow(std::uint32_t workers) {
    if (workers > entries_.size()) entries_.resize(workers);
  }

  /// Null: it is not being stopped.
  [[nodiscard]] const order* of(worker_id worker) const noexcept {
    return entries_[worker] ? &entries_[worker]->what : nullptr;
  }
  void begin(worker_id worker, const order& what, clock::time_point now);
  /// What is being stopped has another reason from now on; the steps go on.
  void because(worker_id worker, stop_reason why) noexcept { entries_[worker]->what.why = why; }
  void end(worker_id worker) noexcept;
  /// The item has ended. True: so has the order, and the worker may be let go; else it stays held,
  /// for a signal (until signal_was_sent() says true) or its end is on its way.
  bool item_ended(worker_id worker) noexcept;
  bool signal_was_sent(worker_id worker) noexcept;
  /// Its end is on its way.
  [[nodiscard]] bool killed(worker_id worker) const noexcept {
    return entries_[worker] && entries_[worker]->killed;
  }
  void clear() noexcept;

  /// A step that is to be taken now, each once; or again, after later().
  std::optional<due> next(clock::time_point now);
  void later(worker_id worker, step what, clock::time_point when) noexcept;
  /// When next() has something to say.
  [[nodiscard]] clock::time_point deadline() const noexcept { return deadline_; }

 private:
  static constexpr auto never = clock::time_point::max();
  struct entry {
    order what;
    step next;
    clock::time_point at;
    bool signal_under_way = false;
    bool killed = false;
  };
  void note_deadline() noexcept;

  std::vector<std::optional<entry>> entries_;
  clock::time_point deadline_ = never;
};

}  // namespace procpool::core
