// SPDX-License-Identifier: MIT
// The engine's loop. One step: take in what the backend tells, send what the scheduler decides, and
// only then, without the lock, decode what came; workers have their next task before the parent
// looks at the last result.
#include <algorithm>
#include <utility>

#include "core/engine.h"
#include "core/failure.h"
#include "procpool/error.h"

namespace procpool::core {

using detail::access;

std::exception_ptr why(const broken& b) noexcept try {
  auto with_cause = [&](auto error) {
    return b.cause ? nest(std::move(error), b.cause) : std::make_exception_ptr(std::move(error));
  };
  return b.by_initializer ? with_cause(initializer_failed(b.why)) : with_cause(pool_broken(b.why));
} catch (...) {
  return std::current_exception();
}

// ---- one step -----------------------------------------------------------------------------------

bool engine::step(guard& l) {
  intake own;
  intake& taken = std::exchange(kept_in_use_, true) ? own : kept_;
  std::vector<delivery>& deliveries = taken.deliveries;
  bool happened = true;
  try {
    happened = step(l, taken);
  } catch (...) {
    // No memory, in the parent. What had been taken in and not accounted for has lost its way.
    if (!l.owns_lock()) l.lock();
    break_down(deliveries, std::current_exception());
    // While that lasts every step comes here; others have their turn in between.
    l.unlock();
    std::this_thread::yield();
    l.lock();
  }
  if (backend_->gone() && reading_ == 0 && !gone_.ready()) {
    make_ready(gone_);
    if (orphaned_) call_background();  // it waits for this alone
  }
  // Of calls that failed as a whole while a reply to them was read, this may be the last to know.
  if (std::any_of(deliveries.begin(), deliveries.end(),
                  [](const delivery& d) { return d.batch != nullptr; })) {
    l.unlock();
    deliveries.clear();
    l.lock();
  }
  if (&taken == &kept_) {
    taken.events.clear();
    deliveries.clear();
    if (taken.events.capacity() > intake::most_kept) taken = intake{};
    kept_in_use_ = false;
  }
  return happened;
}

bool engine::step(guard& l, intake& taken) {
  auto& [events, deliveries] = taken;
  backend_->poll(events);
  // So that nothing that take_in has taken from the scheduler can fail to be noted.
  std::size_t replies = 0;
  for (const event& e : events)
    if (const auto* lost = std::get_if<worker_lost>(&e)) replies += lost->left.size();
  deliveries.reserve(replies + events.size());
  auto now = clock::now();
  for (event& e : events) take_in(e, deliveries, now);
  keep_limits(now);
  keep_size(now);
  pump(now);
  if (!deliveries.empty()) {
    l.unlock();
    for (delivery& d : deliveries) {
      d.told = true;
      if (!d.members.empty()) tell_members(d);
      if (d.dropped || !d.batch) continue;
      if (d.reply.done != 0) d.failed += d.batch->deliver(d.reply);
      if (d.error) {
        d.batch->fail(d.reply.first + d.reply.done, 1, d.error);
        d.error = nullptr;  // the result's alone before anybody is told of it
      }
    }
    l.lock();
    for (delivery& d : deliveries) account(d);
    pump(now);
  }
  return !events.empty();
}

void engine::break_down(std::vector<delivery>& deliveries,
                        const std::exception_ptr& cause) noexcept {
  if (at_work()) {
    state_ = state::broken;
    cause_.cause = cause;
  }
  backend_->kill_all();
  for (delivery& d : deliveries) {
    if (d.accounted) continue;
    if (!d.told) {
      if (d.batch) d.batch->fail(d.reply.first, d.outcomes, why(cause_));
      for (const auto& m : d.members) m->fail(0, 1, why(cause_));
      d.failed = d.outcomes;
    }
    account(d);
  }
  fail_all_calls([this] { return why(cause_); });
}

void engine::drive(guard& l, const std::function<bool()>& done, clock::time_point deadline) {
  while (!done()) {
    if (step(l)) continue;
    if (done()) return;
    if (deadline != never && clock::now() >= deadline) return;
    auto until = sleeping_until_ = std::min(deadline, next_deadline());
    l.unlock();
    backend_->wait(until);
    l.lock();
    // What woke this thread is told to no other, so it is taken in although another was faster.
    if (done()) step(l);
  }
}

clock::time_point engine::work_due() const {
  return std::min({backend_->next_deadline(), limits_due(), size_due_});
}

// Who left quietly takes back what idle workers could have when he returns; if he does not, that is
// not much later than it would have been.
clock::time_point engine::next_deadline() const {
  return std::min(work_due(), quiet_ ? burst_.end() : scheduler_.deadline());
}

void engine::take_in(event& e, std::vector<delivery>& out, clock::time_point now) {
  if (auto* up = std::get_if<worker_up>(&e)) {
    scheduler_.up(up->worker, now);
    size_due_ = clock::time_point::min();
    if (at_work()) ledger_.up(up->worker, now);
  } else if (auto* finished = std::get_if<task_finished>(&e)) {
    take_in_reply(*finished, out, now);
  } else if (const auto* progressed = std::get_if<task_progressed>(&e)) {
    take_in_part(progressed->reply, out);
  } else if (auto* sent = std::get_if<signal_sent>(&e)) {
    if (stops_.signal_was_sent(sent->worker)) let_go(sent->worker);
  } else if (auto* lost = std::get_if<worker_lost>(&e)) {
    take_in_loss(*lost, out, now);
    scheduler_.down(lost->worker);
    if (at_work() && lost->retired) ledger_.left(lost->worker, !retiring_);
    if (at_work() && !lost->retired) ledger_.died(lost->worker);
    stops_.end(lost->worker);
    look_at_[lost->worker] = never;
    graves_[lost->worker].dug = true;
    bury_if_unread(lost->worker);
  } else if (auto* b = std::get_if<broken>(&e)) {
    if (!at_work()) return;
    state_ = state::broken;
    cause_ = std::move(*b);
    fail_all_calls([this] { return why(cause_); });
  } else if (const auto* wanted = std::get_if<descriptor_wanted>(&e)) {
    if (at_work()) give(*wanted);
  }
}

// The task is the worker's; the number may be anything.
void engine::give(const descriptor_wanted& e) {
  const auto& attached = parcels_[e.task]->attached;
  backend_->give(e.worker, e.serial,
                 e.number < attached.size() ? attached[e.number]->descriptor() : -1);
}

void engine::bury_if_unread(worker_id worker) {
  grave& g = graves_[worker];
  if (!g.dug || g.readers != 0) return;
  g.dug = false;
  backend_->bury(worker);
}

// A task that fail_all_calls has forgotten has no parcel; its slot is all there is to give back.
void engine::take_in_reply(const task_finished& e, std::vector<delivery>& out,
                           clock::time_point now) {
  const task_reply& r = e.reply;
  if (!at_work()) {
    backend_->release(r.worker, r.ticket);
    return;
  }
  const call_id call = scheduler_[r.task].call;
  const std::size_t first = scheduler_[r.task].first;
  // From the moment an item was stopped, its outcome is that, whatever its worker made of it.
  const auto stop = end_stop(r.worker, r.task);
  const bool ruled = stop && stop->running;
  scheduler_.answered(r.task, r.done,
                      ruled ? std::chrono::nanoseconds(0) : std::chrono::nanoseconds(r.nanoseconds),
                      now);
  ledger_.answered(r.worker, r.done, r.nanoseconds, now);
  if (e.retires) scheduler_.leaving(r.worker);
  if (ruled) {
    std::exception_ptr error = error_of_stop(*stop, call, first + stop->item, r.pid);
    divide(r, std::min(r.done, stop->item), std::move(error), mishap_of(*stop), true, out, now);
  } else {
    divide(r, r.done, nullptr, mishap::none, true, out, now);
  }
  if (calls_[call].alive()) drop_if_stopped(call);
}

void engine::take_in_loss(worker_lost& e, std::vector<delivery>& out, clock::time_point now) {
  if (!at_work()) return;
  std::vector<call_id> touched;
  // A held worker may say that an item starts, and look at the gate after that: it never ran.
  const bool held = stops_.of(e.worker) != nullptr;
  // Newest first, so that what is put back at the head of the queue keeps its order.
  for (auto left = e.left.rbegin(); left != e.left.rend(); ++left) {
    task_reply& r = left->reply;
    const scheduler::task t = scheduler_[r.task];
    const auto stop = end_stop(e.worker, r.task);
    scheduler_.answered(r.task, 0, {}, now);
    touched.push_back(t.call);
    if (stop && stop->running) {
      std::exception_ptr error = error_of_stop(*stop, t.call, t.first + stop->item, e.how.pid);
      divide(r, std::min(r.done, stop->item), std::move(error), mishap_of(*stop), false, out, now);
    } else if (left->started && !held) {
      const std::size_t place = place_of(t.call, t.first + r.done);
      divide(r, r.done, make_error<worker_died>(e.how.pid, e.how.status, place, e.how.known),
             mishap::death, false, out, now);
    } else {
      divide(r, r.done, nullptr, mishap::none, false, out, now);
    }
  }
  for (call_id call : touched)
    if (calls_[call].alive()) drop_if_stopped(call);
}

void engine::divide(const task_reply& r, std::uint32_t done, std::exception_ptr error, mishap what,
                    bool answered, std::vector<delivery>& out, clock::time_point now) {
  const scheduler::task t = scheduler_[r.task];
  const std::uint32_t over = done + (error ? 1 : 0);
  if (over == 0 && !answered) {
    if (t.count != 0)
      scheduler_.requeue(r.task);
    else
      forget(r.task);
    return;
  }
  if (over < t.count || error) make_room_for_tasks(2);
  if (over < t.count) share_parcel(r.task, scheduler_.split(r.task, over));
  if (error && to_be_retried(t.call, t.first + done, what, error)) {
    const task_id again = scheduler_.split(r.task, done);
    share_parcel(r.task, again);
    try_again(again, now);
    ledger_.retried();
    error = nullptr;
  }
  const call_record& c = calls_[t.call];
  const bool together = c.together();
  const std::uint32_t from = together ? std::min(told_of(r.task), done) : 0;
  const std::uint32_t failed = error ? 1 : 0;
  std::vector<std::shared_ptr<detail::batch>> members;
  if (together) members.reserve(done + failed - from);
  // From here on nothing fails, `out` has room: until then the items are the task's, now they are
  // the delivery's.
  if (together) take_members(r.task, from, done + failed - from, members);
  delivery& d = out.emplace_back();
  d.members = std::move(members);
  d.call = t.call;
  d.batch = c.batch;
  d.dropped = c.dropped;
  d.reply = {t.first, r.count, done, from, r.bytes, r.nanoseconds, r.pid, r.blocks};
  d.worker = r.worker;
  d.ticket = r.ticket;
  d.answered = answered;
  d.failed = failed;
  d.outcomes = done + failed - from;
  ledger_.arriving(d.outcomes);
  d.error = std::move(error);
  ++graves_[r.worker].readers;
  ++reading_;
  forget(r.task);
  if (together) settle(t.call);  // its members may all be on their way
}

void engine::tell_members(delivery& d) noexcept {
  const std::uint32_t ran = d.reply.done - d.reply.from;
  const std::span members(d.members);
  if (ran != 0) d.failed += members.front()->deliver_each(members.first(ran), d.reply);
  if (!d.error) return;
  members[ran]->fail(0, 1, d.error);
  d.error = nullptr;
}

void engine::account(delivery& d) {
  d.accounted = true;
  if (d.answered) {
    backend_->release(d.worker, d.ticket);
    scheduler_.released(d.worker);
  }
  --graves_[d.worker].readers;
  --reading_;
  ledger_.arrived(d.outcomes, d.failed);
  // Not the same: it failed as a whole while its reply was being read.
  const bool counts = d.batch && calls_[d.call].batch == d.batch;
  if (counts) have_outcomes(calls_[d.call], d.outcomes);
  for (auto& member : d.members) settle(std::move(member));
  d.members.clear();
  bury_if_unread(d.worker);
  if (!counts) return;
  call_record& c = calls_[d.call];
  if (d.failed != 0 && c.fail_fast && at_work()) {
    c.fail_fast = false;
    c.end = call_end::cancelled;
    drop_unstarted(d.call);
  }
  settle(d.call);
  d.batch = nullptr;  // the call has it, or the settled
}

// ---- decisions ----------------------------------------------------------------------------------

void engine::pump(clock::time_point now) {
  send_bundle();
  while (auto d = scheduler_.next(now)) {
    if (auto* s = std::get_if<scheduler::send>(&*d))
      send(*s);
    else
      take(std::get<scheduler::take>(*d));
  }
  backend_->flush();
  let_in();
  size_to_work();
  if (driver_ != std::this_thread::get_id()) wake_by(next_deadline());
}

// The last to act may have been another thread than the one that sleeps.
void engine::wake_by(clock::time_point due) {
  if (due >= sleeping_until_) return;
  sleeping_until_ = due;
  if (driver_ != std::thread::id())
    backend_->nudge();
  else
    call_background();
}

void engine::send(const scheduler::send& d) {
  const scheduler::task& t = scheduler_[d.task];
  const parcel& p = *parcels_[d.task];
  const bool timed = timeout_of(d.task).count() != 0;
  const bool each = calls_[t.call].together() && t.count > 1;
  std::exception_ptr error;
  try {
    backend_->send(
        d.worker, {d.task, calls_[t.call].entry, p.bytes(), p.in_block(),
                   static_cast<std::uint32_t>(t.first - p.base), t.count, timed, each, p.attached});
    if (timed) watch_worker(d.worker, d.task, clock::now());
  } catch (...) {
    error = std::current_exception();
  }
  if (!error) return;
  // No memory to send it: the task fails as if it had met that in the worker.
  scheduler_.answered(d.task, 0, {}, clock::now());
  scheduler_.released(d.worker);
  const call_id call = t.call;
  fail_task(d.task, std::exchange(error, nullptr));
  settle(call);
}

void engine::take(const scheduler::take& d) {
  std::uint32_t count = scheduler_[d.task].count;
  std::uint32_t started = d.may_have_started ? backend_->claimed(d.worker, d.task) : 0;
  std::uint32_t keep = started == 0 ? 0 : started + (count - started) / 2;
  recall(d.task, keep);
}

bool engine::take_back(task_id id) {
  if (scheduler_[id].worker == scheduler::none) return scheduler_[id].count == 0;
  return recall(id, 0) == 0;
}

std::uint32_t engine::recall(task_id id, std::uint32_t keep) {
  make_room_for_tasks(1);  // nobody else would know of what comes back
  std::uint32_t kept = backend_->recall(scheduler_[id].worker, id, keep);
  task_id rest = scheduler_.taken_back(id, kept);
  if (rest != scheduler::none) share_parcel(id, rest);
  return kept;
}

// ---- the end of tasks and calls -----------------------------------------------------------------

void engine::share_parcel(task_id from, task_id to) noexcept {
  parcel& p = *parcels_[from];
  parcels_[to] = &p;
  ++p.users;
  if (scheduler_[from].count != 0) ++p.to_end;
}

void engine::leave_parcel(parcel* p, bool with_items) noexcept {
  // What has no item left may stand in a worker's ring for as long as the item before it runs.
  if (with_items && --p->to_end == 0) pending_bytes_ -= p->counted;
  if (--p->users != 0) return;
  publications_.left(p->epoch);
  if (options_.caller_runs && !at_work()) {
    // Nothing stops a caller that is in the middle of it.
    p->next = std::exchange(spent_, p);
    return;
  }
  delete p;
}

void engine::forget(task_id id) {
  parcel* p = std::exchange(parcels_[id], nullptr);
  if (p != nullptr) leave_parcel(p, scheduler_[id].count != 0);
  call_id call = scheduler_[id].call;
  scheduler_.erase(id);
  // The last trace of a call that was settled while a worker's ring still held a task of it.
  if (call_record& c = calls_[call]; !c.alive() && scheduler_.live(call) == 0) {
    c = call_record{};
    scheduler_.close(call);
  }
}

void engine::fail_task(task_id id, const std::exception_ptr& error) {
  const scheduler::task& t = scheduler_[id];
  call_record& c = calls_[t.call];
  if (c.together()) fail_members(id, error);
  // Where it has no item its batch is not to be touched: another thread may be writing the result.
  if (c.batch && t.count != 0) {
    if (!c.dropped) c.batch->fail(t.first, t.count, error);
    have_outcomes(c, t.count);
    ledger_.failed(t.count);
  }
  forget(id);
}

std::size_t engine::drop_unstarted(call_id id) {
  scheduler_.each_task_of(id, [this](task_id t) {
    if (!scheduler_[t].queued) take_back(t);
  });
  std::erase_if(set_aside_, [&](const auto& a) { return scheduler_[a.second].call == id; });
  dismiss([&](const line_place& p) { return p.call_ == id; });
  std::size_t dropped = 0;
  std::exception_ptr error;
  scheduler_.each_task_of(id, [&](task_id t) {
    const scheduler::task& each = scheduler_[t];
    if (each.worker != scheduler::none) return;
    if (!error) error = error_of_end(id, each.first);
    dropped += each.count;
    fail_task(t, error);
  });
  return dropped;
}

void engine::drop_if_stopped(call_id id) {
  drop_ended(id);
  if (calls_[id].end == call_end::none) return;
  drop_unstarted(id);
  settle(id);
}

/// Tells the call's waiters when every item has its outcome.
void engine::settle(call_id id) {
  call_record& c = calls_[id];
  if (c.open || c.remaining != 0 || !c.alive()) return;
  c.settled = true;
  std::shared_ptr<detail::batch> b = std::move(c.batch);
  forget_limits(id);
  // A task may still stand in a worker's ring with nothing left to run; the record lives as long.
  if (scheduler_.live(id) == 0) {
    c = call_record{};
    scheduler_.close(id);
  }
  --open_calls_;
  if (b) settle(std::move(b));
  maybe_retire();
}

void engine::settle(std::shared_ptr<detail::batch> b) noexcept {
  access::call(*b) = 0;
  if (b->gather_in != nullptr) {
    detail::inbox& box = *b->gather_in;
    access::ready(*b).store(true, std::memory_order_release);
    access::settled_before(*b) = std::move(access::finished(box));
    access::finished(box) = std::move(b);
    make_ready(box);
  } else {
    make_ready(*b);
    access::settled_before(*b) = std::move(settled_);
    settled_ = std::move(b);
  }
}

void engine::fail_all_calls(const std::function<std::exception_ptr()>& error) {
  stops_.clear();
  set_aside_.clear();
  dismiss([](const line_place&) { return true; });
  for (auto& member : bundle_.take_calls()) {
    member->fail(0, 1, error());
    ledger_.failed(1);
    settle(std::move(member));
  }
  for (call_id id = 0; id < calls_.size(); ++id) {
    call_record& c = calls_[id];
    if (c.entry == nullptr) continue;
    {
      const std::exception_ptr e = error();
      scheduler_.each_task_of(id, [&](task_id t) { fail_task(t, e); });
    }
    settle(id);
  }
}

void engine::maybe_retire() {
  if (state_ != state::closed || retiring_ || open_calls_ != 0 || !bundle_.empty()) return;
  retiring_ = true;
  backend_->retire_all();
}

// Whoever left quietly will be back soon, and nothing has to be done before.
bool engine::comes_back(clock::time_point now) const {
  return quiet_ && burst_.on(now) && work_due() > now;
}

// ---- while nobody waits -------------------------------------------------------------------------

void engine::background() {
  guard l(*this);
  auto over = [this] { return stop_ || (orphaned_ && gone_.ready()); };
  auto why = woken_by::news;
  while (!over() || callbacks_) {
    while (callbacks_) {
      auto next = std::move(callbacks_);
      callbacks_ = std::move(access::next(*next));
      l.unlock();
      next->run();
      next.reset();
      l.lock();
    }
    if (driver_ != std::thread::id()) {
      if (why == woken_by::news) backend_->stand_by();
    } else if (why == woken_by::news || !comes_back(clock::now())) {
      attend(true);
      while (step(l)) {
      }
      leave(clock::now());
      hand_over();
    }
    if (callbacks_ || over()) continue;
    auto until = driver_ == std::thread::id() ? sleeping_until_ = next_deadline() : never;
    background_until_ = until;
    l.unlock();
    do {
      why = backend_->wait_in_background(until);
      until = background_until_;
    } while (why == woken_by::deadline && until > clock::now());
    l.lock();
    background_until_ = clock::time_point::min();
  }
}

}  // namespace procpool::core
