// SPDX-License-Identifier: MIT
// Limits of what runs: an item's timeout, a call's deadline, cancelling; and the other way round,
// running again what failed. The engine's part that looks at the clock.
//
// A worker is not asked what it runs: its window says so. It is looked at when the item that runs
// can have used up its time, which is never later than a timeout after it was last looked at, so no
// timer stands for each item, and none at all while nothing that has a timeout is with a worker.
#include <algorithm>
#include <csignal>
#include <string>
#include <system_error>
#include <utility>

#include "core/engine.h"
#include "core/failure.h"
#include "procpool/error.h"

namespace procpool::core {
namespace {

constexpr std::chrono::milliseconds again_after{1};  // to try again what the system refused
constexpr std::chrono::nanoseconds longest_pause = std::chrono::minutes(1);

bool says_something(const task_options& o) {
  return o.timeout.count() != 0 || o.deadline.count() != 0 || o.retries != 0 ||
         o.stop_steps.has_value();
}

/// The same failure, with the one of the run before nested in it.
std::exception_ptr nest_earlier(const std::exception_ptr& error, const std::exception_ptr& before) {
  try {
    std::rethrow_exception(error);
  } catch (const worker_died& e) {
    return nest(e, before);
  } catch (const task_timeout& e) {
    return nest(e, before);
  } catch (...) {
    return error;  // there was no memory for either
  }
}

}  // namespace

std::chrono::nanoseconds within_reason(std::chrono::nanoseconds d) noexcept {
  constexpr std::chrono::nanoseconds century = std::chrono::hours(24) * 36'525;
  return std::min(d, century);
}

stop_steps within_reason(stop_steps s) noexcept {
  s.token_grace = within_reason(s.token_grace);
  s.signal_grace = within_reason(s.signal_grace);
  return s;
}

void check_duration(std::chrono::nanoseconds d, const char* name) {
  if (d.count() < 0)
    throw std::invalid_argument(std::string("procpool: ") + name + " is " +
                                std::to_string(d.count()) + " ns; it must be 0 or more");
}

void check(const stop_steps& s) {
  check_duration(s.token_grace, "stop_steps.token_grace");
  check_duration(s.signal_grace, "stop_steps.signal_grace");
  if (s.signal < 0 || s.signal >= NSIG)
    throw std::invalid_argument("procpool: stop_steps.signal is " + std::to_string(s.signal) +
                                ", which is no signal");
}

bool engine::is_limited(const detail::call_options& options) noexcept {
  return options.limits != nullptr && says_something(*options.limits);
}

void engine::check_limits(const detail::call_options& options) const {
  if (options.limits == nullptr) return;
  const task_options& o = *options.limits;
  check_duration(o.timeout, "task_options.timeout");
  check_duration(o.deadline, "task_options.deadline");
  check_duration(o.backoff, "task_options.backoff");
  if (o.retries < 0)
    throw std::invalid_argument("procpool: task_options.retries is " + std::to_string(o.retries) +
                                "; it must be 0 or more");
  if (o.retry_on < retry_on::death || o.retry_on > retry_on::both)
    throw std::invalid_argument("procpool: task_options.retry_on has no such value");
  if (o.when_full < when_full::wait || o.when_full > when_full::fail)
    throw std::invalid_argument("procpool: task_options.when_full has no such value");
  if (o.stop_steps) check(*o.stop_steps);
  if ((o.timeout.count() != 0 || o.deadline.count() != 0) && !backend_->can_hold())
    throw std::system_error(ENOSYS, std::system_category(),
                            "procpool: time limits need membarrier(2), which this system refuses");
}

void engine::note_limits(call_id id, const detail::call_options& options) {
  if (!says_something(*options.limits)) return;
  auto limits = std::make_shared<call_limits>();
  limits->said = *options.limits;
  limits->said.timeout = within_reason(limits->said.timeout);
  limits->said.backoff = within_reason(limits->said.backoff);
  if (limits->said.stop_steps) limits->said.stop_steps = within_reason(*limits->said.stop_steps);
  limits->until = options.until;
  if (limits->until != never) ends_.emplace(limits->until, id);
  calls_[id].limits = std::move(limits);
}

void engine::forget_limits(call_id id) {
  if (!calls_[id].limits) return;
  ends_.erase({calls_[id].limits->until, id});
  calls_[id].limits.reset();
}

std::chrono::nanoseconds engine::timeout_of(task_id id) const {
  const call_record& c = calls_[scheduler_[id].call];
  return c.limits ? c.limits->said.timeout : std::chrono::nanoseconds(0);
}

stop_steps engine::steps_of(call_id id) const {
  const call_record& c = calls_[id];
  return c.limits && c.limits->said.stop_steps ? *c.limits->said.stop_steps : options_.stop_steps;
}

// ---- by the clock -------------------------------------------------------------------------------

clock::time_point engine::limits_due() const {
  auto due = std::min(next_look_, stops_.deadline());
  if (!ends_.empty()) due = std::min(due, ends_.begin()->first);
  if (!set_aside_.empty()) due = std::min(due, set_aside_.begin()->first);
  return due;
}

void engine::keep_limits(clock::time_point now) {
  if (now < limits_due()) return;
  while (!ends_.empty() && ends_.begin()->first <= now) {
    const call_id id = ends_.begin()->second;
    ends_.erase(ends_.begin());
    end_call(id, call_end::deadline, now);
  }
  while (!set_aside_.empty() && set_aside_.begin()->first <= now) {
    scheduler_.requeue(set_aside_.begin()->second);
    set_aside_.erase(set_aside_.begin());
  }
  if (next_look_ <= now) {
    next_look_ = never;
    for (worker_id w = 0; w < look_at_.size(); ++w) {
      if (look_at_[w] <= now) look_at(w, now);
      next_look_ = std::min(next_look_, look_at_[w]);
    }
  }
  take_steps(now);
}

void engine::watch_worker(worker_id worker, task_id task, clock::time_point now) {
  look_at_[worker] = std::min(look_at_[worker], now + timeout_of(task));
  next_look_ = std::min(next_look_, look_at_[worker]);
}

// Whatever begins from now on ends its time no sooner than the shortest timeout from now.
void engine::look_at(worker_id worker, clock::time_point now) {
  look_at_[worker] = never;
  if (stops_.of(worker) != nullptr) return;  // looked at when that is over
  auto shortest = std::chrono::nanoseconds::max();
  for (const task_id id : scheduler_.held_by(worker))
    if (const auto t = timeout_of(id); t.count() != 0) shortest = std::min(shortest, t);
  if (shortest == std::chrono::nanoseconds::max()) return;
  auto next = now + shortest;
  const auto at = backend_->look(worker);
  if (at && at->running && timeout_of(at->task).count() != 0) {
    const auto end = at->since + timeout_of(at->task);
    if (end > now)
      next = std::min(next, end);
    else if (stop_late(worker, *at, now))
      return;
    else
      next = now + std::min<std::chrono::nanoseconds>(shortest, again_after);
  }
  look_at_[worker] = next;
}

// ---- stopping -----------------------------------------------------------------------------------

bool engine::stop_late(worker_id worker, const at_hand& what, clock::time_point now) {
  const auto at = backend_->hold(worker);
  if (!at || !at->running || at->task != what.task || at->item != what.item) {
    backend_->let_go(worker);
    return false;
  }
  stops_.begin(
      worker, {at->task, at->item, true, stop_reason::timeout, steps_of(scheduler_[at->task].call)},
      now);
  return true;
}

void engine::take_steps(clock::time_point now) {
  while (const auto due = stops_.next(now)) {
    bool taken = true;
    switch (due->what) {
      case stopper::step::token:
        backend_->ask(due->worker);
        break;
      case stopper::step::signal:
        taken = backend_->signal(due->worker, due->signal);
        break;
      case stopper::step::kill:
        taken = backend_->kill(due->worker);
        break;
    }
    if (!taken) stops_.later(due->worker, due->what, now + again_after);
  }
}

std::optional<stopper::order> engine::end_stop(worker_id worker, task_id task) {
  const stopper::order* o = stops_.of(worker);
  if (o == nullptr || o->task != task) return std::nullopt;
  const stopper::order ended = *o;
  if (stops_.item_ended(worker))
    let_go(worker);
  else if (stops_.killed(worker))
    scheduler_.leaving(worker);
  return ended;
}

void engine::let_go(worker_id worker) {
  backend_->let_go(worker);
  look_at_[worker] = next_look_ = clock::time_point::min();
}

std::size_t engine::end_call(call_id id, call_end why, clock::time_point now) {
  calls_[id].end = why;
  const auto reason = why == call_end::deadline ? stop_reason::deadline : stop_reason::cancelled;
  std::size_t ended = drop_unstarted(id);
  bool refused = false;
  scheduler_.each_task_of(id, [&](task_id t) {
    const worker_id worker = scheduler_[t].worker;
    const std::uint32_t count = scheduler_[t].count;
    if (worker == scheduler::none || count == 0) return;
    if (const stopper::order* o = stops_.of(worker)) {
      // Held already: at this task, whose rest goes the call's way; or at one before it, and then
      // nothing of this one has started.
      if (o->task != t) return;
      ended += count - o->item;
      // Who cancelled was told so; what was late before it is too late is late all the same.
      if (why == call_end::cancelled) stops_.because(worker, reason);
      return;
    }
    const auto at = backend_->hold(worker);
    if (at && at->task == t && at->item < count) {
      ended += count - at->item;
      stops_.begin(worker, {t, at->item, at->running, reason, steps_of(id)}, now);
    } else {
      refused = refused || !backend_->holding(worker);
      backend_->let_go(worker);  // it has answered all of it
    }
  });
  if (refused && why == call_end::deadline)
    ends_.emplace(calls_[id].limits->until = now + again_after, id);
  take_steps(now);
  settle(id);
  return ended;
}

std::exception_ptr engine::error_of_end(call_id id, std::size_t item) const {
  const call_record& c = calls_[id];
  if (c.end == call_end::deadline)
    return make_error<task_timeout>(task_timeout::kind_type::deadline, c.limits->said.deadline,
                                    c.place + item, 0);
  return make_error<task_cancelled>();
}

std::exception_ptr engine::error_of_stop(const stopper::order& o, call_id id, std::size_t item,
                                         int pid) const {
  const call_record& c = calls_[id];
  if (o.why == stop_reason::cancelled || !c.limits)
    return make_error<task_cancelled>(
        "procpool: the task was cancelled while it ran, and was stopped");
  const task_options& said = c.limits->said;
  using kind = task_timeout::kind_type;
  const bool item_only = o.why == stop_reason::timeout;
  return make_error<task_timeout>(item_only ? kind::timeout : kind::deadline,
                                  item_only ? said.timeout : said.deadline, c.place + item, pid);
}

// ---- trying again -------------------------------------------------------------------------------

bool engine::to_be_retried(call_id id, std::size_t item, mishap what, std::exception_ptr& error) {
  call_record& c = calls_[id];
  if (what == mishap::none || !c.limits || c.limits->said.retries == 0) return false;
  const task_options& said = c.limits->said;
  const bool meant = said.retry_on == retry_on::both ||
                     said.retry_on == (what == mishap::death ? retry_on::death : retry_on::timeout);
  failed_runs& failed = c.limits->failed[item];
  if (failed.last) error = nest_earlier(error, failed.last);
  if (!meant || c.end != call_end::none || ++failed.count > said.retries) {
    c.limits->failed.erase(item);
    return false;
  }
  failed.last = error;
  return true;
}

void engine::try_again(task_id id, clock::time_point now) {
  const call_record& c = calls_[scheduler_[id].call];
  if (c.limits->said.backoff.count() == 0) return;  // it stands at the head of the queue
  const int runs = c.limits->failed.at(scheduler_[id].first).count;
  auto pause = c.limits->said.backoff;
  for (int i = 1; i < runs && pause < longest_pause; ++i) pause *= 2;
  pause = std::max(std::min(pause, longest_pause), c.limits->said.backoff);
  set_aside_.emplace(now + pause, id);
  scheduler_.set_aside(id);
}

}  // namespace procpool::core
