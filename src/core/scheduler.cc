// SPDX-License-Identifier: MIT
#include "core/scheduler.h"

#include <algorithm>
#include <bit>

namespace procpool::core {

scheduler::scheduler(std::uint32_t workers, std::uint32_t room, std::uint32_t quota,
                     std::uint32_t cpus)
    : room_(room), quota_(quota), cpus_(cpus) {
  grow(workers);
}

// ---- calls and tasks ----------------------------------------------------------------------------

profile_id scheduler::add_profile() {
  profiles_.push_back(0);
  return static_cast<profile_id>(profiles_.size() - 1);
}

call_id scheduler::open(profile_id profile, bool one_turn) {
  call_record c;
  c.profile = profile;
  c.one_turn = one_turn;
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
  if (!c.in_turn) take_turn(t.call, at_head);
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
  if (t.worker != none) let_go(id);
  if (t.previous != none)
    tasks_[t.previous].next = t.next;
  else
    c.all = t.next;
  if (t.next != none) tasks_[t.next].previous = t.previous;
  --c.live;
  items_ -= t.count;
  tasks_.erase(id);
}

// ---- workers ------------------------------------------------------------------------------------

void scheduler::grow(std::uint32_t workers) {
  if (workers <= workers_.size()) return;
  open_.grow(workers);
  givers_.grow(workers);
  moved_.reserve(workers);
  workers_.resize(workers);
}

void scheduler::up(worker_id worker, clock::time_point now) {
  down(worker);
  ++up_;
  workers_[worker].up = true;
  workers_[worker].busy_since = now;
  rank_open(worker);
}

void scheduler::leaving(worker_id worker) {
  workers_[worker].leaving = true;
  rank_open(worker);
}

void scheduler::down(worker_id worker) {
  worker_record& w = workers_[worker];
  const bool moved = w.moved;
  if (w.up) --up_;
  to_give_ -= w.to_give;
  w = worker_record{};
  w.moved = moved;
  rank_open(worker);
  givers_.drop(worker);
}

void scheduler::answered(task_id id, std::uint32_t items, std::chrono::nanoseconds took,
                         clock::time_point now) {
  task& t = tasks_[id];
  worker_record& w = workers_[t.worker];
  w.busy_since = now;
  // What it gives back counts for nothing.
  if (items < t.count) w.accepted -= std::min(w.accepted, t.count - items);
  let_go(id);
  if (items == 0 || took.count() <= 0) return;
  double cost = static_cast<double>(took.count()) / items;
  double& known = profiles_[calls_[t.call].profile];
  // One that the system did not let work meanwhile seems to take thousands of times as long.
  known = known == 0 ? cost : known + (std::min(cost, 4 * known) - known) / 4;
}

void scheduler::released(worker_id worker) {
  worker_record& w = workers_[worker];
  if (w.slots == 0) return;
  --w.slots;
  rank_open(worker);
}

void scheduler::rank_open(worker_id worker) noexcept {
  const worker_record& w = workers_[worker];
  const bool open = w.up && !w.leaving && w.slots < room_ && (quota_ == 0 || w.accepted < quota_);
  const auto rank =
      open ? static_cast<std::uint32_t>(std::min(w.holds, ranking::ranks - 1)) : ranking::none;
  if (rank == open_.of(worker)) return;
  if (open)
    open_.put(worker, rank);
  else
    open_.drop(worker);
}

// Four ranks for each doubling: nobody waits to learn who has a few per cent more.
void scheduler::rank_givers() noexcept {
  for (const worker_id worker : moved_) {
    workers_[worker].moved = false;
    const std::uint64_t gives = workers_[worker].to_give;
    if (gives == 0) {
      givers_.drop(worker);
      continue;
    }
    const auto doublings = static_cast<std::uint32_t>(std::bit_width(gives) - 1);
    const std::uint64_t quarter = doublings < 2 ? 0 : gives >> (doublings - 2) & 3;
    givers_.put(worker, doublings * 4 + static_cast<std::uint32_t>(quarter));
  }
  moved_.clear();
}

void scheduler::set_to_give(task_id id, std::uint64_t nanoseconds) noexcept {
  task& t = tasks_[id];
  worker_record& w = workers_[t.worker];
  w.to_give += nanoseconds - t.to_give;
  to_give_ += nanoseconds - t.to_give;
  t.to_give = nanoseconds;
  if (w.to_give >= much) no_giver_before_ = {};
  if (w.moved) return;
  w.moved = true;
  moved_.push_back(t.worker);  // each at most once: grow() has made room
}

std::vector<task_id> scheduler::held_by(worker_id worker) const {
  std::vector<task_id> all;
  all.reserve(workers_[worker].holds);
  for (task_id t = workers_[worker].oldest; t != none; t = tasks_[t].behind) all.push_back(t);
  return all;
}

void scheduler::hold(worker_id worker, task_id id) noexcept {
  task& t = tasks_[id];
  worker_record& w = workers_[worker];
  t.worker = worker;
  t.before = w.newest;
  t.behind = none;
  (w.newest != none ? tasks_[w.newest].behind : w.oldest) = id;
  w.newest = id;
  ++w.holds;
}

void scheduler::let_go(task_id id) noexcept {
  set_to_give(id, 0);
  task& t = tasks_[id];
  worker_record& w = workers_[t.worker];
  (t.before != none ? tasks_[t.before].behind : w.oldest) = t.behind;
  (t.behind != none ? tasks_[t.behind].before : w.newest) = t.before;
  --w.holds;
  rank_open(t.worker);
  t.worker = t.before = t.behind = none;
}

// ---- decisions ----------------------------------------------------------------------------------

double scheduler::cost_of(call_id call, std::uint32_t items) const noexcept {
  return profiles_[calls_[call].profile] * items;
}

// At least one, and no more than fits however many are added up.
std::uint64_t scheduler::worth_of(call_id call, std::uint32_t items) const noexcept {
  constexpr double most = 1e12;
  return static_cast<std::uint64_t>(std::clamp(cost_of(call, items), 1.0, most));
}

std::uint32_t scheduler::depth_for(call_id call) const noexcept {
  double cost = cost_of(call, tasks_[calls_[call].head].count);
  if (cost == 0) return 2;
  double many = static_cast<double>(std::chrono::nanoseconds(send_ahead).count()) / cost;
  return many < 2 ? 2 : many > room_ ? room_ : static_cast<std::uint32_t>(many);
}

// Of the idle the one that was busy last, whose caches are warm; else who holds least.
worker_id scheduler::choose(task_id id) const noexcept {
  const call_id call = tasks_[id].call;
  const worker_id idle = open_.last(0);
  const std::uint32_t rank = open_.lowest_from(1);
  if (rank == ranking::none) return idle;
  const worker_id busy = open_.first(rank);
  const worker_record& w = workers_[busy];
  if (idle != none) {
    constexpr auto soon = static_cast<std::uint64_t>(std::chrono::nanoseconds(wake_up).count());
    const bool known = profiles_[calls_[call].profile] != 0;
    return known && w.to_give + worth_of(call, tasks_[id].count) <= soon ? busy : idle;
  }
  return w.holds < depth_for(call) ? busy : none;
}

void scheduler::take_turn(call_id call, bool at_head) noexcept {
  call_record& c = calls_[call];
  c.in_turn = true;
  c.turn_after = at_head ? first_turn_ : none;
  if (first_turn_ == none)
    first_turn_ = last_turn_ = call;
  else if (at_head)
    first_turn_ = call;
  else
    last_turn_ = calls_[last_turn_].turn_after = call;
}

void scheduler::end_turn() noexcept {
  call_record& c = calls_[first_turn_];
  c.in_turn = false;
  first_turn_ = c.turn_after;
}

/// The task whose turn it is; its call's turn is the first.
task_id scheduler::front() {
  while (first_turn_ != none) {
    const call_id call = first_turn_;
    if (calls_[call].head != none) return calls_[call].head;
    end_turn();
    if (calls_[call].profile == none) calls_.erase(call);
  }
  return none;
}

task_id scheduler::pop() {
  const call_id call = first_turn_;
  call_record& c = calls_[call];
  task_id id = c.head;
  c.head = tasks_[id].behind;
  end_turn();
  if (c.head != none)
    take_turn(call, c.one_turn);
  else
    c.tail = none;
  tasks_[id].queued = false;
  tasks_[id].behind = none;
  --queued_;
  return id;
}

std::optional<scheduler::decision> scheduler::decide(clock::time_point now) {
  task_id waiting = front();
  if (waiting == none) {
    if (auto t = choose_giver(now)) return *t;
    return std::nullopt;
  }
  worker_id worker = choose(waiting);
  if (worker == none) return std::nullopt;
  task_id id = pop();
  task& t = tasks_[id];
  worker_record& w = workers_[worker];
  if (w.holds == 0) w.busy_since = now;
  hold(worker, id);
  ++w.slots;
  w.accepted += t.count;
  rank_open(worker);
  set_to_give(id, worth_of(t.call, t.count));
  return send{worker, id};
}

// With nothing queued and a worker idle: who has been busy for long, and has most to give?
std::optional<scheduler::take> scheduler::choose_giver(clock::time_point now) {
  if (to_give_ == 0 || open_.first(0) == none) return std::nullopt;
  if (now < no_giver_before_) {
    deadline_ = no_giver_before_;
    return std::nullopt;
  }
  rank_givers();
  for (std::uint32_t rank = givers_.highest_below(ranking::ranks); rank != ranking::none;
       rank = givers_.highest_below(rank)) {
    const worker_id giver = givers_.first(rank);
    const worker_record& w = workers_[giver];
    const auto ripe = w.busy_since + patience * ((up_ + cpus_ - 1) / cpus_);
    if (now < ripe && w.to_give < much) {
      deadline_ = std::min(deadline_, ripe);
      continue;
    }
    task_id newest = w.newest;
    while (tasks_[newest].to_give == 0) newest = tasks_[newest].before;
    return take{giver, newest, newest == w.oldest};
  }
  if (deadline_ != clock::time_point::max()) no_giver_before_ = deadline_;
  return std::nullopt;
}

task_id scheduler::taken_back(task_id id, std::uint32_t kept) {
  const task& t = tasks_[id];
  if (kept >= t.count) {
    set_to_give(id, 0);
    return none;
  }
  worker_record& w = workers_[t.worker];
  w.accepted -= std::min(w.accepted, t.count - kept);
  rank_open(t.worker);
  set_to_give(id, kept == 0 ? 0 : worth_of(t.call, kept));
  return split(id, kept);
}

}  // namespace procpool::core
