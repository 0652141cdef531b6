// SPDX-License-Identifier: MIT
#include "core/scheduler.h"

#include <algorithm>

namespace procpool::core {

scheduler::scheduler(std::uint32_t workers, std::uint32_t room, std::uint32_t quota)
    : room_(room), quota_(quota), workers_(workers) {}

// ---- calls and tasks ----------------------------------------------------------------------------

profile_id scheduler::add_profile() {
  profiles_.push_back(0);
  return static_cast<profile_id>(profiles_.size() - 1);
}

call_id scheduler::open(profile_id profile) {
  call_record c;
  c.profile = profile;
  return calls_.insert(c);
}

// A call that is dropped while it has its turn keeps its number until the turn comes: front()
// erases it.
void scheduler::close(call_id call) {
  if (!calls_[call].in_turn)
    calls_.erase(call);
  else
    calls_[call].profile = none;
}

task_id scheduler::add(call_id call, std::size_t first, std::uint32_t count) {
  task t;
  t.call = call;
  t.first = first;
  t.count = count;
  t.next = calls_[call].all;
  task_id id = tasks_.insert(t);
  call_record& c = calls_[call];
  if (c.all != none) tasks_[c.all].previous = id;
  c.all = id;
  ++c.live;
  items_ += count;
  enqueue(id, false);
  return id;
}

void scheduler::enqueue(task_id id, bool at_head) {
  task& t = tasks_[id];
  call_record& c = calls_[t.call];
  t.queued = true;
  t.drained = false;
  t.worker = none;
  if (c.head == none) {
    c.head = c.tail = id;
    t.behind = none;
  } else if (at_head) {
    t.behind = c.head;
    c.head = id;
  } else {
    t.behind = none;
    tasks_[c.tail].behind = id;
    c.tail = id;
  }
  ++queued_;
  if (c.in_turn) return;
  c.in_turn = true;
  if (at_head)
    turns_.push_front(t.call);
  else
    turns_.push_back(t.call);
}

task_id scheduler::split(task_id id, std::uint32_t keep) {
  task rest;
  rest.call = tasks_[id].call;
  rest.first = tasks_[id].first + keep;
  rest.count = tasks_[id].count - keep;
  rest.next = calls_[rest.call].all;
  tasks_[id].count = keep;
  task_id made = tasks_.insert(rest);
  call_record& c = calls_[rest.call];
  if (c.all != none) tasks_[c.all].previous = made;
  c.all = made;
  ++c.live;
  enqueue(made, true);
  return made;
}

void scheduler::requeue(task_id id) { enqueue(id, true); }

// Rare: a drop; the queue of one call is short, or dropped whole from its head.
void scheduler::set_aside(task_id id) {
  task& t = tasks_[id];
  call_record& c = calls_[t.call];
  task_id* link = &c.head;
  task_id before = none;
  while (*link != id) {
    before = *link;
    link = &tasks_[*link].behind;
  }
  *link = t.behind;
  if (c.tail == id) c.tail = before;
  t.queued = false;
  t.behind = none;
  --queued_;
}

void scheduler::erase(task_id id) {
  task& t = tasks_[id];
  call_record& c = calls_[t.call];
  if (t.queued) set_aside(id);
  if (t.worker != none) std::erase(workers_[t.worker].holds, id);
  if (t.previous != none)
    tasks_[t.previous].next = t.next;
  else
    c.all = t.next;
  if (t.next != none) tasks_[t.next].previous = t.previous;
  --c.live;
  items_ -= t.count;
  tasks_.erase(id);
}

std::vector<task_id> scheduler::tasks_of(call_id call) const {
  std::vector<task_id> ids;
  // Queued ones from the head on, so that erasing them one after the other is linear.
  for (task_id id = calls_[call].head; id != none; id = tasks_[id].behind) ids.push_back(id);
  for (task_id id = calls_[call].all; id != none; id = tasks_[id].next)
    if (!tasks_[id].queued) ids.push_back(id);
  return ids;
}

// ---- workers ------------------------------------------------------------------------------------

void scheduler::up(worker_id worker, clock::time_point now) {
  worker_record& w = workers_[worker];
  w = worker_record{};
  w.up = true;
  w.busy_since = now;
  idle_.push_back(worker);
}

void scheduler::leaving(worker_id worker) { workers_[worker].leaving = true; }

void scheduler::down(worker_id worker) { workers_[worker] = worker_record{}; }

void scheduler::answered(task_id id, std::uint32_t items, std::chrono::nanoseconds took,
                         clock::time_point now) {
  task& t = tasks_[id];
  worker_record& w = workers_[t.worker];
  if (!w.holds.empty() && w.holds.front() == id)
    w.holds.pop_front();
  else
    std::erase(w.holds, id);
  w.busy_since = now;
  if (w.holds.empty()) idle_.push_back(t.worker);
  // What it gives back counts for nothing.
  if (items < t.count) w.accepted -= std::min(w.accepted, t.count - items);
  t.worker = none;
  if (items == 0 || took.count() <= 0) return;
  double cost = static_cast<double>(took.count()) / items;
  double& known = profiles_[calls_[t.call].profile];
  known = known == 0 ? cost : known + (cost - known) / 4;
}

// A worker that ran empty while its replies filled the ring may have been passed over since.
void scheduler::released(worker_id worker) {
  worker_record& w = workers_[worker];
  if (w.slots == 0) return;
  if (w.slots-- == room_ && w.up && w.holds.empty()) idle_.push_back(worker);
}

// ---- decisions ----------------------------------------------------------------------------------

bool scheduler::open_to(const worker_record& w, std::uint32_t depth) const noexcept {
  return w.up && !w.leaving && w.holds.size() < depth && w.slots < room_ &&
         (quota_ == 0 || w.accepted < quota_);
}

std::uint32_t scheduler::depth_for(call_id call) const noexcept {
  const call_record& c = calls_[call];
  double cost = profiles_[c.profile] * tasks_[c.head].count;
  if (cost == 0) return 2;
  double many = static_cast<double>(std::chrono::nanoseconds(send_ahead).count()) / cost;
  return many < 2 ? 2 : many > room_ ? room_ : static_cast<std::uint32_t>(many);
}

worker_id scheduler::choose(std::uint32_t depth) {
  while (!idle_.empty()) {
    worker_id id = idle_.back();
    idle_.pop_back();
    if (workers_[id].holds.empty() && open_to(workers_[id], 1)) return id;
  }
  auto many = static_cast<std::uint32_t>(workers_.size());
  for (std::uint32_t i = 0; i < many; ++i) {
    cursor_ = cursor_ + 1 < many ? cursor_ + 1 : 0;
    if (open_to(workers_[cursor_], depth)) return cursor_;
  }
  return none;
}

/// The task whose turn it is; its call stands at the front of turns_.
task_id scheduler::front() {
  while (!turns_.empty()) {
    call_record& c = calls_[turns_.front()];
    if (c.head != none) return c.head;
    c.in_turn = false;
    if (c.profile == none) calls_.erase(turns_.front());
    turns_.pop_front();
  }
  return none;
}

task_id scheduler::pop() {
  call_id call = turns_.front();
  call_record& c = calls_[call];
  task_id id = c.head;
  c.head = tasks_[id].behind;
  turns_.pop_front();
  if (c.head != none) {
    turns_.push_back(call);
  } else {
    c.tail = none;
    c.in_turn = false;
  }
  tasks_[id].queued = false;
  tasks_[id].behind = none;
  --queued_;
  return id;
}

std::optional<scheduler::decision> scheduler::next(clock::time_point now) {
  deadline_ = clock::time_point::max();
  task_id waiting = front();
  if (waiting == none) {
    if (auto t = choose_victim(now)) return *t;
    return std::nullopt;
  }
  worker_id worker = choose(depth_for(tasks_[waiting].call));
  if (worker == none) return std::nullopt;
  task_id id = pop();
  worker_record& w = workers_[worker];
  if (w.holds.empty()) w.busy_since = now;
  w.holds.push_back(id);
  ++w.slots;
  w.accepted += tasks_[id].count;
  tasks_[id].worker = worker;
  return send{worker, id};
}

// With nothing queued and a worker idle: who has been busy for long, and has most to give?
std::optional<scheduler::take> scheduler::choose_victim(clock::time_point now) {
  while (!idle_.empty()) {
    worker_record& w = workers_[idle_.back()];
    if (w.holds.empty() && open_to(w, 1)) break;
    idle_.pop_back();
  }
  if (idle_.empty()) return std::nullopt;

  worker_id victim = none;
  double most = 0;
  for (worker_id id = 0; id < workers_.size(); ++id) {
    const worker_record& w = workers_[id];
    double unstarted = 0;
    for (task_id held : w.holds) {
      const task& t = tasks_[held];
      if (t.drained) continue;
      unstarted += std::max(1.0, profiles_[calls_[t.call].profile] * t.count);
    }
    if (unstarted == 0) continue;
    auto ripe = w.busy_since + patience;
    auto worth = static_cast<double>(std::chrono::nanoseconds(patience).count());
    if (now < ripe && unstarted < worth) {
      deadline_ = std::min(deadline_, ripe);
      continue;
    }
    if (unstarted > most) {
      most = unstarted;
      victim = id;
    }
  }
  if (victim == none) return std::nullopt;
  const worker_record& w = workers_[victim];
  for (std::size_t i = w.holds.size(); i-- > 0;) {
    const task& t = tasks_[w.holds[i]];
    if (!t.drained) return take{victim, w.holds[i], i == 0};
  }
  return std::nullopt;
}

task_id scheduler::taken_back(task_id id, std::uint32_t kept) {
  task& t = tasks_[id];
  if (kept >= t.count) {
    t.drained = true;
    return none;
  }
  workers_[t.worker].accepted -= std::min(workers_[t.worker].accepted, t.count - kept);
  if (kept == 0) t.drained = true;
  return split(id, kept);
}

}  // namespace procpool::core
