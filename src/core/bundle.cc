// SPDX-License-Identifier: MIT
// The engine's part that sends calls together, and knows each of them again.
//
// A call record with members stands for all of them; item k of it is members[k], which is null once
// it has its outcome, or the outcome is on its way in a delivery. Results come from the front of a
// task, so those of a task that have been told are its first.
#include "core/bundle.h"

#include <algorithm>
#include <functional>
#include <utility>
#include <vector>

#include "core/engine.h"
#include "core/failure.h"
#include "procpool/error.h"

namespace procpool::core {

using detail::access;

// Only while whoever attended last has left quietly: then the background thread looks when the
// burst is over, so that nothing stays here. All else that acts sends it first.
bool engine::gather(const std::shared_ptr<detail::batch>& call, const detail::entry_point& entry,
                    const encoded& e, const detail::call_options& options) {
  if (!quiet_ || state_ != state::running || e.items != 1 || !e.bytes.is_small() ||
      !e.bytes.attached.empty() || e.bytes.state || bounded(options) || is_limited(options))
    return false;
  const auto bytes = e.bytes.bytes();
  const auto head = bytes.first(e.head);
  if (!bundle_.empty() && !bundle_.takes(entry, head, options.place)) send_bundle();
  if (bundle_.empty()) {
    const auto cost = scheduler_.cost(profile_of(entry));
    if (cost.count() == 0 || cost > bundle::shortest_alone) return false;
    bundle_.begin(*backend_, entry, head, options.place, cost);
  }
  bundle_.add(call, bytes.subspan(e.head), options.place);
  ledger_.submitted(1);
  return true;
}

void engine::send_bundle() {
  if (bundle_.empty()) return;
  const call_id id = open_record(bundle_.entry(), true);
  try {
    make_room_for_tasks(1);
    call_record& c = calls_[id];
    c.place = bundle_.place();
    c.at_one_place = bundle_.at_one_place();
    c.members = bundle_.take_calls();
    c.items = c.remaining = c.members.size();
    for (std::uint32_t k = 0; k < c.items; ++k) {
      access::call(*c.members[k]) = id + 1;
      access::item(*c.members[k]) = k;
    }
    queue(id, bundle_.take_parcel(), c.items, 0);
  } catch (...) {  // no memory: as yet they only stay where they are
    scheduler_.close(id);
    calls_[id] = call_record{};
    --open_calls_;
    throw;
  }
}

std::uint32_t engine::told_of(task_id id) const noexcept {
  const scheduler::task& t = scheduler_[id];
  const call_record& c = calls_[t.call];
  std::uint32_t told = 0;
  if (c.together())
    while (told != t.count && !c.members[t.first + told]) ++told;
  return told;
}

void engine::take_members(task_id id, std::uint32_t from, std::uint32_t many,
                          std::vector<std::shared_ptr<detail::batch>>& to) {
  const scheduler::task& t = scheduler_[id];
  call_record& c = calls_[t.call];
  for (std::uint32_t k = from; k != from + many; ++k) {
    to.push_back(std::move(c.members[t.first + k]));
    access::call(*to.back()) = access::on_its_way;  // the record may be another's before it arrives
  }
  c.remaining -= many;
}

// An item that is being stopped is told as that, when its worker has answered or is gone.
void engine::take_in_part(const task_reply& r, std::vector<delivery>& out) {
  if (!at_work()) return;
  const scheduler::task t = scheduler_[r.task];
  if (!calls_[t.call].together()) return;
  std::uint32_t done = std::min(r.done, t.count);
  if (const stopper::order* o = stops_.of(r.worker);
      o != nullptr && o->task == r.task && o->running)
    done = std::min(done, o->item);
  const std::uint32_t from = told_of(r.task);
  if (done <= from) return;
  delivery d;
  d.call = t.call;
  d.members.reserve(done - from);
  take_members(r.task, from, done - from, d.members);
  const auto cost = scheduler_.cost(profile_of(*calls_[t.call].entry)).count();
  d.reply = {t.first, r.count, done,
             from,    r.bytes, static_cast<std::uint64_t>(cost) * (done - from),
             r.pid,   r.blocks};
  d.worker = r.worker;
  d.answered = false;
  d.outcomes = done - from;
  ledger_.arriving(d.outcomes);
  ++graves_[r.worker].readers;
  ++reading_;
  out.push_back(std::move(d));
}

// ---- one of them --------------------------------------------------------------------------------

task_id engine::task_with(call_id id, std::size_t item) const noexcept {
  task_id found = no_task;
  scheduler_.each_task_of(id, [&](task_id t) {
    const scheduler::task& each = scheduler_[t];
    if (item >= each.first && item - each.first < each.count) found = t;
  });
  return found;
}

// What waits of the call waits in order again afterwards.
void engine::fail_member(call_id id, std::size_t item, const std::exception_ptr& error) {
  make_room_for_tasks(2);
  std::vector<task_id> waiting;
  waiting.reserve(scheduler_.live(id) + 2);
  task_id t = task_with(id, item);
  scheduler_.each_task_of(id, [&](task_id each) {
    if (scheduler_[each].queued) waiting.push_back(each);
  });
  for (const task_id each : waiting) scheduler_.set_aside(each);
  std::erase(waiting, t);
  const auto cut = [&](task_id from, std::uint32_t keep) {
    const task_id rest = scheduler_.split(from, keep);
    share_parcel(from, rest);
    scheduler_.set_aside(rest);
    return rest;
  };
  if (const auto before = static_cast<std::uint32_t>(item - scheduler_[t].first); before != 0) {
    waiting.push_back(t);
    t = cut(t, before);
  }
  if (scheduler_[t].count > 1) waiting.push_back(cut(t, 1));
  std::ranges::sort(waiting, std::greater(),
                    [this](task_id each) { return scheduler_[each].first; });
  for (const task_id each : waiting) scheduler_.requeue(each);
  fail_task(t, error);
}

void engine::fail_members(task_id id, const std::exception_ptr& error) noexcept {
  const scheduler::task& t = scheduler_[id];
  call_record& c = calls_[t.call];
  for (std::size_t item = t.first; item != t.first + t.count; ++item) {
    auto member = std::move(c.members[item]);
    if (!member) continue;
    member->fail(0, 1, error);
    --c.remaining;
    ledger_.failed(1);
    settle(std::move(member));
  }
}

// As end_call, of one item that is a call.
bool engine::end_member(call_id id, std::size_t item, clock::time_point now) {
  if (!calls_[id].members[item]) return false;
  const task_id t = task_with(id, item);
  const worker_id worker = scheduler_[t].worker;
  const auto at = static_cast<std::uint32_t>(item - scheduler_[t].first);
  if (worker == scheduler::none || recall(t, at) <= at) {
    fail_member(id, item, make_error<task_cancelled>());
    settle(id);
    return true;
  }
  if (const stopper::order* o = stops_.of(worker)) {
    if (o->task != t || o->item != at) return false;
    stops_.because(worker, stop_reason::cancelled);
    return true;
  }
  calls_[id].ended.push_back(item);
  const auto hand = backend_->hold(worker);
  if (!hand || hand->task != t || hand->item != at) {
    calls_[id].ended.pop_back();
    backend_->let_go(worker);
    return false;
  }
  stops_.begin(worker, {t, at, hand->running, stop_reason::cancelled, steps_of(id)}, now);
  take_steps(now);
  return true;
}

bool engine::has_begun(call_id id, std::size_t item) const {
  if (!calls_[id].members[item]) return false;
  const task_id t = task_with(id, item);
  const worker_id worker = scheduler_[t].worker;
  return worker != scheduler::none && backend_->claimed(worker, t) > item - scheduler_[t].first;
}

void engine::drop_member(call_id id, std::size_t item) {
  if (!calls_[id].members[item]) return;
  const task_id t = task_with(id, item);
  const auto at = static_cast<std::uint32_t>(item - scheduler_[t].first);
  if (scheduler_[t].worker != scheduler::none && recall(t, at) > at) return;
  fail_member(id, item, make_error<task_cancelled>());
  settle(id);
}

void engine::drop_ended(call_id id) {
  if (calls_[id].ended.empty()) return;
  for (const std::size_t item : std::exchange(calls_[id].ended, {})) {
    if (!calls_[id].members[item]) continue;
    if (scheduler_[task_with(id, item)].worker == scheduler::none)
      fail_member(id, item, make_error<task_cancelled>());
    else
      calls_[id].ended.push_back(item);
  }
  settle(id);
}

std::size_t engine::place_of(call_id id, std::size_t item) const noexcept {
  const call_record& c = calls_[id];
  return c.at_one_place ? c.place : c.place + item;
}

}  // namespace procpool::core
