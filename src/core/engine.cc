// SPDX-License-Identifier: MIT
// Waiting, and what else callers ask of a call that they have made. How one gets in: submit.cc; the
// loop: loop.cc; the end: end.cc.
#include "core/engine.h"

#include <utility>

#include "base/cpus.h"
#include "procpool/detail/watch.h"
#include "procpool/error.h"

namespace procpool::core {

using detail::access;

engine::engine(std::unique_ptr<backend> b, engine_options options)
    : options_(std::move(options)),
      backend_(std::move(b)),
      scheduler_(
          backend_->workers(), backend_->room(), options_.quota,
          static_cast<std::uint32_t>(options_.cpus != 0 ? options_.cpus : base::usable_cpus())),
      graves_(backend_->workers()),
      most_(static_cast<std::uint32_t>(options_.processes)),
      target_(most_),
      stops_(backend_->workers()),
      ledger_(backend_->workers()),
      look_at_(backend_->workers(), never),
      burst_(options_.burst_pause) {}

// A task that was taken back whole stands in a worker's ring until that worker passes it: the last
// ones are never answered when the workers leave first.
engine::~engine() {
  if (!options_.own_process()) return;  // a forked copy: blocks lie in memory that is the owner's
  for (parcel* p : parcels_)
    if (p != nullptr) leave_parcel(p, false);
  while (spent_ != nullptr) delete std::exchange(spent_, spent_->next);
}

void engine::guard::end_settled() {
  std::shared_ptr<detail::batch> gone = std::move(owner_.settled_);
  unique_lock::unlock();
  access::end_chain(std::move(gone));
}

void engine::start() {
  if (options_.caller_runs) return;
  guard l(*this);
  thread_ = std::make_unique<std::thread>([self = shared_from_this()] { self->background(); });
  background_id_ = thread_->get_id();
}

void engine::check_process() const {
  if (!options_.own_process()) throw wrong_process();
}

void engine::refuse() const {
  if (state_ == state::broken) std::rethrow_exception(why(cause_));
  throw pool_closed();
}

// ---- waiting ------------------------------------------------------------------------------------

bool engine::wait(detail::completion& what, clock::time_point deadline) {
  if (what.ready()) return true;
  check_process();
  guard l(*this);
  return wait_locked(l, what, deadline);
}

bool engine::wait_locked(guard& l, detail::completion& what, clock::time_point deadline) {
  if (what.ready()) return true;
  not_from_callback();
  auto self = std::this_thread::get_id();
  detail::waiter me;
  waiters_.push_back(&me);
  access::waiting(what) = &me;
  bool attends = false;
  // Whatever the backend throws: others go on waiting, and driving.
  const auto stop_waiting = [&] {
    if (!l.owns_lock()) l.lock();
    if (attends) {
      const auto now = burst_.begun() ? clock::now() : clock::time_point::min();
      burst_.waited(now);
      leave(now);
    }
    access::waiting(what) = nullptr;
    if (waiters_.back() == &me)  // as it is when one thread waits: 100 instructions fewer
      waiters_.pop_back();
    else
      std::erase(waiters_, &me);
    hand_over();
  };
  try {
    while (!what.ready()) {
      if (driver_ == std::thread::id() || driver_ == self) {
        if (driver_ != self) {
          attends = true;
          attend(false);
        }
        drive(
            l, [&] { return what.ready(); }, deadline);
        break;
      }
      if (deadline == never) {
        me.woken.wait(l);
      } else if (me.woken.wait_until(l, deadline) == std::cv_status::timeout) {
        break;
      }
    }
  } catch (...) {
    stop_waiting();
    throw;
  }
  stop_waiting();
  return what.ready();
}

void engine::not_from_callback() const {
  if (std::this_thread::get_id() == background_id_)
    throw std::logic_error(
        "procpool: a callback must not wait for a result: it would keep the pool's own thread from "
        "bringing it");
}

void engine::attend(bool woken) {
  driver_ = std::this_thread::get_id();
  quiet_ = false;
  backend_->attend(woken);
}

void engine::leave(clock::time_point now) {
  quiet_ = burst_.on(now);
  backend_->leave(quiet_);
  driver_ = std::thread::id();
}

void engine::take_a_turn(guard& l, clock::time_point now, std::uint32_t calls) {
  if (options_.caller_runs || !burst_.submitted(now, calls)) return;
  if (driver_ != std::thread::id() || std::this_thread::get_id() == background_id_) return;
  attend(false);
  step(l);
  leave(clock::now());
  hand_over();
}

// Whoever stops attending wakes one that waits, to attend in its place. When there is none, the
// background thread must not sleep longer than the one did that left; nor need it wake before.
void engine::hand_over() {
  if (driver_ != std::thread::id()) return;
  if (!waiters_.empty()) {
    waiters_.front()->woken.notify_one();
    return;
  }
  const clock::time_point due = next_deadline();
  const clock::time_point until = background_until_;
  sleeping_until_ = std::min(due, until);
  if (due < until)
    call_background();
  else if (until != clock::time_point::min())
    sleeping_until_ = background_until_ = due;
}

// Once, however long it takes to come.
void engine::call_background() noexcept {
  background_until_ = clock::time_point::min();
  backend_->interrupt();
}

void engine::make_ready(detail::completion& what) noexcept {
  access::ready(what).store(true, std::memory_order_release);
  if (detail::waiter* w = access::waiting(what)) {
    w->woken.notify_one();
    if (driver_ != std::thread::id() && driver_ != std::this_thread::get_id()) backend_->nudge();
  }
  for (detail::watched* w = access::watched(what); w != nullptr; w = w->next)
    if (detail::completion* also = w->owner->came(*w)) make_ready(*also);
  if (access::then(what)) {
    call_back(std::move(access::then(what)));
    if (!options_.caller_runs) backend_->interrupt();
  }
}

void engine::call_back(std::unique_ptr<detail::continuation> next) noexcept {
  detail::continuation* last = next.get();
  (callbacks_ ? access::next(*last_callback_) : callbacks_) = std::move(next);
  last_callback_ = last;
}

std::unique_ptr<detail::continuation> engine::attach(detail::completion& what,
                                                     std::unique_ptr<detail::continuation> next) {
  if (!what.ready()) {
    access::then(what) = std::move(next);
    return nullptr;
  }
  if (options_.caller_runs || stop_) return next;
  call_back(std::move(next));
  backend_->interrupt();
  return nullptr;
}

void engine::then(detail::completion& what, std::unique_ptr<detail::continuation> next) {
  check_process();
  {
    guard l(*this);
    next = attach(what, std::move(next));
  }
  if (next) next->run();
}

void engine::complete(detail::completion& what) {
  std::unique_ptr<detail::continuation> next;
  {
    guard l(*this);
    // Without a background thread of its own the chain goes on here.
    if (options_.caller_runs || stop_) next = std::move(access::then(what));
    make_ready(what);
  }
  if (next) next->run();
}

std::optional<call_id> engine::number_of(detail::batch& call) const noexcept {
  const std::uint32_t number = access::call(call);
  if (number == 0 || number == access::on_its_way) return std::nullopt;
  return number - 1;
}

bool engine::cancel(detail::batch& call) {
  check_process();
  guard l(*this);
  send_bundle();
  const auto id = number_of(call);
  if (!id) return false;
  const auto now = clock::now();
  if (calls_[*id].together()) {
    const bool ends = end_member(*id, access::item(call), now);
    pump(now);
    return ends;
  }
  const call_end before = calls_[*id].end;
  if (calls_[*id].open || before == call_end::deadline) return false;
  const bool any = end_call(*id, call_end::cancelled, now) != 0;
  if (!any) calls_[*id].end = before;
  pump(now);
  return any;
}

bool engine::started(detail::batch& call) {
  if (!options_.own_process()) return false;
  guard l(*this);
  if (access::call(call) == access::on_its_way) return true;
  const auto id = number_of(call);
  if (!id) return false;
  if (calls_[*id].together()) return has_begun(*id, access::item(call));
  std::size_t untouched = 0;
  scheduler_.each_task_of(*id, [&](task_id t) {
    const scheduler::task& each = scheduler_[t];
    if (each.worker == scheduler::none || backend_->claimed(each.worker, t) == 0)
      untouched += each.count;
  });
  return untouched != calls_[*id].items;
}

void engine::drop_call(detail::batch& call) noexcept {
  call.gather_in = nullptr;
  try {
    send_bundle();
  } catch (...) {  // no memory: it runs, for nobody
    return;
  }
  const auto number = number_of(call);
  if (!number) return;
  const call_id id = *number;
  if (calls_[id].together()) {
    try {
      drop_member(id, access::item(call));
    } catch (...) {
      wake_by(clock::time_point::min());
    }
    return;
  }
  calls_[id].open = false;
  calls_[id].dropped = true;
  calls_[id].end = call_end::cancelled;
  try {
    drop_unstarted(id);
  } catch (...) {  // no memory to take it back: it runs, for nobody
    wake_by(clock::time_point::min());
  }
  settle(id);
  let_in();
}

void engine::abandon(detail::batch& call) {
  if (!options_.own_process()) return;
  guard l(*this);
  drop_call(call);
}

void engine::collect(detail::inbox& box, std::vector<std::shared_ptr<detail::batch>>& to) {
  guard l(*this);
  std::size_t many = 0;
  for (detail::batch* b = access::finished(box).get(); b != nullptr;
       b = access::settled_before(*b).get())
    ++many;
  to.resize(to.size() + many);
  auto last = std::move(access::finished(box));
  for (auto at = to.rbegin(); last; ++at) {
    *at = std::move(last);
    last = std::move(access::settled_before(**at));
  }
  access::ready(box).store(false, std::memory_order_release);
}

// ---- published values ---------------------------------------------------------------------------

std::shared_ptr<const detail::published> engine::publish(const detail::published_writer& write,
                                                         std::uint64_t type) {
  check_process();
  std::uint64_t id = 0;
  {
    guard l(*this);
    if (state_ != state::running) refuse();
    id = ids_.next();
  }
  return core::publish(*backend_, options_.own_process, id, write, type);
}

void engine::keep(std::shared_ptr<const detail::published> value) {
  check_process();
  guard l(*this);
  if (state_ != state::running) refuse();
  publications_.keep(std::move(value));
}

void engine::withdraw(const detail::published_name& name) {
  check_process();
  guard l(*this);
  send_bundle();
  if (!publications_.withdraw(name))
    throw error(
        "procpool: this value is not shared in this pool: it was unshared before, or it belongs to "
        "another pool");
}

}  // namespace procpool::core
