// SPDX-License-Identifier: MIT
// What should run where: tasks, their order, who holds what. It is told and asked; it waits for
// nothing, makes no system call, sees no byte and no pid, and takes the time as an argument.
//
// A call is a run of items; a task is a part of it, [first, first + count). Calls take turns, task
// by task, so a large map does not starve an apply behind it. Tasks are sent ahead to busy workers,
// as many as take about 200 µs; an idle worker gets work taken back from a busy one, so sending
// ahead holds nothing hostage. Nobody is woken for what one that is awake will have done sooner.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <variant>
#include <vector>

#include "core/backend.h"
#include "core/ranking.h"
#include "core/slab.h"

namespace procpool::core {

using call_id = std::uint32_t;
using profile_id = std::uint32_t;  // what is known of the cost of one kind of item

class scheduler {
 public:
  static constexpr std::uint32_t none = ~std::uint32_t{0};
  static constexpr std::chrono::microseconds send_ahead{200};
  /// A worker busy for so long gives un-started work away; one that shares its CPU with others may
  /// have had no chance to work, and is given that much more time.
  static constexpr std::chrono::microseconds patience{50};
  /// At once, when it has so much to give, in nanoseconds.
  static constexpr std::uint64_t much = std::chrono::nanoseconds(patience).count();
  /// What it costs to wake a worker: one that is at work and done with all it has within that time
  /// begins sooner.
  static constexpr std::chrono::microseconds wake_up{20};

  /// `room`: tasks one worker's channel holds; `quota`: calls of f after which a worker retires, 0:
  /// none; `cpus`: how many workers can run at once.
  scheduler(std::uint32_t workers, std::uint32_t room, std::uint32_t quota, std::uint32_t cpus);

  struct task {
    call_id call = none;
    std::size_t first = 0;
    std::uint32_t count = 0;
    worker_id worker = none;  // who holds it; none: queued, or being looked at
    bool queued = false;
    // What taking it back is worth, in nanoseconds; 0: nothing of it can be taken back any more.
    std::uint64_t to_give = 0;
    task_id previous = none, next = none;  // in the call's list of live tasks
    // In the call's queue (`behind` alone), or among those that the worker holds.
    task_id before = none, behind = none;
  };
  [[nodiscard]] const task& operator[](task_id id) const noexcept { return tasks_[id]; }

  // ---- calls and tasks
  // What allocates: add_profile, and what makes a call or a task, unless there is room for it. All
  // else succeeds without memory, or changes nothing.
  profile_id add_profile();
  /// `one_turn`: its tasks follow one another when its turn has come.
  call_id open(profile_id profile, bool one_turn = false);
  /// The next call, or as many tasks, need no memory. Returns how many numbers there can be of them
  /// without any more.
  std::size_t make_room_for_call() { return calls_.make_room(1); }
  std::size_t make_room_for_tasks(std::size_t n) { return tasks_.make_room(n); }
  /// The call has no live task and gets no more.
  void close(call_id call);
  [[nodiscard]] std::size_t live(call_id call) const noexcept { return calls_[call].live; }
  /// A new task at the end of its call's queue.
  task_id add(call_id call, std::size_t first, std::uint32_t count);
  /// Cuts a task that is not queued: it keeps `keep` items, the rest is a new task at its call's
  /// head.
  task_id split(task_id id, std::uint32_t keep);
  /// A task that no worker holds any more, or that was set aside, and still is to run.
  void requeue(task_id id);
  /// Takes a queued task out of its queue, until requeue().
  void set_aside(task_id id);
  /// Forgets a task: finished, failed or dropped.
  void erase(task_id id);
  /// f of each of the call's live tasks: first the queued ones, from the head on, so that erasing
  /// them one after the other is linear. It may cut the task or erase it.
  template <class F>
  void each_task_of(call_id call, F&& f) const {
    task_id next = none;
    for (task_id id = calls_[call].head; id != none; id = next) {
      next = tasks_[id].behind;
      f(id);
    }
    for (task_id id = calls_[call].all; id != none; id = next) {
      next = tasks_[id].next;
      if (!tasks_[id].queued) f(id);
    }
  }

  // ---- workers
  /// At least so many.
  void grow(std::uint32_t workers);
  void up(worker_id worker, clock::time_point now);
  /// No more tasks for it; what it holds is still its own.
  void leaving(worker_id worker);
  /// It is gone, and its tasks have been told by answered().
  void down(worker_id worker);
  /// It is up, and gets tasks.
  [[nodiscard]] bool serves(worker_id worker) const noexcept {
    return workers_[worker].up && !workers_[worker].leaving;
  }
  /// Nothing is left for it to do; it may still have to pass what was taken back.
  [[nodiscard]] bool is_free(worker_id worker) const noexcept {
    task_id t = workers_[worker].oldest;
    while (t != none && tasks_[t].count == 0) t = tasks_[t].behind;
    return t == none;
  }
  /// How many tasks it holds; the one it came to first, or none; all, oldest first.
  [[nodiscard]] std::uint32_t holds(worker_id worker) const noexcept {
    return workers_[worker].holds;
  }
  [[nodiscard]] task_id oldest_held(worker_id worker) const noexcept {
    return workers_[worker].oldest;
  }
  [[nodiscard]] std::vector<task_id> held_by(worker_id worker) const;
  /// When it came to what it holds first; when it holds nothing, since when.
  [[nodiscard]] clock::time_point busy_since(worker_id worker) const noexcept {
    return workers_[worker].busy_since;
  }
  /// The worker holds the task no longer. `items` ran there, in `took` (zero: no measure).
  void answered(task_id id, std::uint32_t items, std::chrono::nanoseconds took,
                clock::time_point now);
  /// A slot of the worker's channel is free again.
  void released(worker_id worker);

  // ---- decisions
  struct send {
    worker_id worker;
    task_id task;
  };
  /// Take back all of the task, or, when it has been started, half of what is unclaimed; then say
  /// taken_back().
  struct take {
    worker_id worker;
    task_id task;
    bool may_have_started;
  };
  using decision = std::variant<send, take>;
  /// What to do now; nothing: wait for an event, or for deadline().
  std::optional<decision> next(clock::time_point now) {
    deadline_ = clock::time_point::max();
    if (queued_ == 0 && to_give_ == 0) return std::nullopt;
    return decide(now);
  }
  [[nodiscard]] clock::time_point deadline() const noexcept { return deadline_; }
  /// What came of a take: the worker keeps `kept` items; the rest is a new task at its call's head,
  /// or there is none.
  task_id taken_back(task_id id, std::uint32_t kept);

  [[nodiscard]] bool idle() const noexcept { return tasks_.size() == 0; }
  /// Of all tasks.
  [[nodiscard]] std::size_t items() const noexcept { return items_; }
  [[nodiscard]] std::size_t queued() const noexcept { return queued_; }
  [[nodiscard]] std::chrono::nanoseconds cost(profile_id p) const noexcept {
    return std::chrono::nanoseconds(static_cast<std::int64_t>(profiles_[p]));
  }

 private:
  struct call_record {
    profile_id profile = 0;
    task_id head = none, tail = none;  // queued tasks
    task_id all = none;                // live tasks
    std::size_t live = 0;
    bool one_turn = false;
    bool in_turn = false;       // stands in the line of those
    call_id turn_after = none;  // who is behind it there
  };
  struct worker_record {
    bool up = false;
    bool leaving = false;
    std::uint32_t holds = 0;               // tasks
    task_id oldest = none, newest = none;  // of those: it works on the oldest
    std::uint32_t slots = 0;               // of its channel in use
    std::uint32_t accepted = 0;            // items sent and not taken back, for the quota
    std::uint64_t to_give = 0;             // the sum over what it holds
    bool moved = false;                    // stands in moved_
    clock::time_point busy_since;
  };

  /// What so many items of the call cost, in nanoseconds; 0: not known.
  [[nodiscard]] double cost_of(call_id call, std::uint32_t items) const noexcept;
  [[nodiscard]] std::uint64_t worth_of(call_id call, std::uint32_t items) const noexcept;
  [[nodiscard]] std::uint32_t depth_for(call_id call) const noexcept;
  [[nodiscard]] worker_id choose(task_id id) const noexcept;
  /// Puts a worker that has changed where it now belongs.
  void rank_open(worker_id worker) noexcept;
  void rank_givers() noexcept;
  void set_to_give(task_id id, std::uint64_t nanoseconds) noexcept;
  void hold(worker_id worker, task_id id) noexcept;
  /// The worker holds it no longer.
  void let_go(task_id id) noexcept;
  [[nodiscard]] task_id front();
  task_id pop();
  void enqueue(task_id id, bool at_head);
  /// To the head or the end of the line of calls, and away from its head.
  void take_turn(call_id call, bool at_head) noexcept;
  void end_turn() noexcept;
  std::optional<decision> decide(clock::time_point now);
  std::optional<take> choose_giver(clock::time_point now);

  std::uint32_t room_;
  std::uint32_t quota_;
  std::uint32_t cpus_;
  std::uint32_t up_ = 0;  // workers
  slab<task> tasks_;
  slab<call_record> calls_;
  std::vector<double> profiles_;  // nanoseconds an item; 0: not known
  std::vector<worker_record> workers_;
  ranking open_;  // who can be sent a task, by how many each holds
  // Who holds what can be taken back, by how much; in a rank, about who has been busy for longest
  // first. Asked for only while somebody is idle: until then those that changed stand in moved_.
  ranking givers_;
  std::vector<worker_id> moved_;
  std::uint64_t to_give_ = 0;  // by all workers
  // Until then nobody turns into one, unless by being sent much: the others must be busy for
  // longer.
  clock::time_point no_giver_before_{};
  call_id first_turn_ = none, last_turn_ = none;
  std::size_t queued_ = 0;
  std::size_t items_ = 0;
  clock::time_point deadline_ = clock::time_point::max();
};

}  // namespace procpool::core
