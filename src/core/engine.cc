// SPDX-License-Identifier: MIT
// Submitting, waiting, stopping: what callers ask of the engine. The loop itself stands in loop.cc.
#include "core/engine.h"

#include <algorithm>
#include <utility>

#include "base/cpus.h"
#include "core/failure.h"
#include "procpool/detail/watch.h"
#include "procpool/error.h"

namespace procpool::core {

using detail::access;

engine::engine(std::unique_ptr<backend> b, engine_options options)
    : options_(std::move(options)),
      backend_(std::move(b)),
      scheduler_(backend_->workers(), backend_->room(), options_.quota,
                 static_cast<std::uint32_t>(base::usable_cpus())),
      graves_(backend_->workers()),
      most_(static_cast<std::uint32_t>(options_.processes)),
      target_(most_),
      stops_(backend_->workers()),
      ledger_(backend_->workers()),
      look_at_(backend_->workers(), never) {}

// A task that was taken back whole stands in a worker's ring until that worker passes it: the last
// ones are never answered when the workers leave first.
engine::~engine() {
  if (!options_.own_process()) return;  // a forked copy: blocks lie in memory that is the owner's
  for (parcel* p : parcels_)
    if (p != nullptr) leave_parcel(p, false);
  while (spent_ != nullptr) delete std::exchange(spent_, spent_->next);
}

void engine::guard::unlock() {
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

// ---- submitting ---------------------------------------------------------------------------------

call_id engine::open_call(const std::shared_ptr<detail::batch>& call,
                          const detail::entry_point& entry, const detail::call_options& options) {
  if (state_ != state::running) refuse();
  const call_id id = open_record(entry);
  call_record& c = calls_[id];
  c.batch = call;
  c.place = options.place;
  c.open = true;
  c.fail_fast = options.fail_fast;
  c.bounded = bounded(options);
  access::call(*call) = id + 1;
  if (options.limits != nullptr) note_limits(id, options);
  return id;
}

call_id engine::open_record(const detail::entry_point& entry, bool one_turn) {
  const profile_id profile = profile_of(entry);
  if (const std::size_t numbers = scheduler_.make_room_for_call(); calls_.size() < numbers)
    calls_.resize(numbers);
  const call_id id = scheduler_.open(profile, one_turn);
  calls_[id] = call_record{};
  calls_[id].entry = &entry;
  ++open_calls_;
  return id;
}

profile_id engine::profile_of(const detail::entry_point& entry) {
  auto known = profiles_.find(&entry);
  if (known == profiles_.end()) known = profiles_.emplace(&entry, scheduler_.add_profile()).first;
  return known->second;
}

// How many items the next parcel gets. Idle workers take un-started items from busy ones, so chunks
// may be as large as is good for the data: a few for each worker, but no more bytes than a cache
// holds. Where the items that are pending are bounded, each worker gets two chunks of those.
std::size_t engine::chunk_for(call_id id, const detail::call_options& options, std::size_t expected,
                              std::size_t so_far, std::size_t item_bytes) const {
  constexpr std::size_t most_bytes = std::size_t{256} * 1024;
  constexpr std::size_t first_guess = 4096;
  const std::size_t bound = options_.max_pending;
  const std::size_t most_items = bound == 0 ? (1u << 23) : std::min<std::size_t>(bound, 1u << 23);
  if (options.chunksize != 0) return std::min(options.chunksize, most_items);
  const std::size_t workers = most_;
  std::size_t most =
      so_far == 0 ? first_guess
                  : std::max<std::size_t>(1, most_bytes / std::max<std::size_t>(1, item_bytes));
  most = std::min(most, most_items);
  if (bound != 0) most = std::min(most, std::max<std::size_t>(1, bound / (2 * workers)));
  if (expected == detail::source::unknown)
    return std::clamp<std::size_t>(so_far / (2 * workers), 1, most);
  std::size_t chunk = (expected + 4 * workers - 1) / (4 * workers);
  if (auto cost = scheduler_.cost(profiles_.at(calls_[id].entry)).count(); cost > 0) {
    // Less than 100 µs of work is not worth a message.
    auto worth = static_cast<std::size_t>(100'000 / cost);
    chunk = std::max(chunk, std::min(worth, (expected + workers - 1) / workers));
  }
  return std::clamp<std::size_t>(chunk, 1, most);
}

engine::encoded engine::encode(detail::source& input, std::size_t most,
                               const detail::call_options& options) {
  encoded e(*backend_);
  parcel_writer out(e.bytes);
  input.head(out);
  out.align(detail::record_alignment);
  e.head = out.size();
  if (options.bounded && options_.max_pending_bytes != 0) {
    // Nobody knows how large the next item is: one at a time, until it is a worker's share.
    const std::size_t share = options_.max_pending_bytes / (2 * std::size_t{most_});
    do {
      e.ended = input.encode(out, 1) == 0;
      if (!e.ended) ++e.items;
    } while (!e.ended && e.items < most && out.size() < share);
  } else {
    e.items = input.encode(out, most);
    e.ended = e.items < most;
  }
  out.finish();
  if (options.state != nullptr) e.bytes.state = *options.state;
  return e;
}

std::size_t engine::encode_all(call_id id, const std::shared_ptr<detail::batch>& call,
                               detail::source& input, const detail::call_options& options) {
  std::size_t expected = input.expected();
  if (expected != detail::source::unknown) call->extend(expected);
  std::size_t total = 0;
  std::size_t item_bytes = 0;
  for (;;) {
    std::size_t want = 0;
    {
      guard l(*this);
      want = chunk_for(id, options, expected, total, item_bytes);
    }
    encoded e = encode(input, want, options);
    const std::size_t n = e.items;
    const bool ended = e.ended;
    if (n != 0) {
      item_bytes = e.bytes.bytes().size() / n;
      call->extend(total + n);
      guard l(*this);
      line_place in_line(*this, l);
      if (bounded(options)) await_room(l, in_line, e, id, options);
      enqueue(id, e, total);
      drop_if_stopped(id);
      pump(clock::now());
      total += n;
    }
    if (ended) return total;
  }
}

void engine::make_room_for_tasks(std::size_t n) {
  if (const std::size_t numbers = scheduler_.make_room_for_tasks(n); parcels_.size() < numbers)
    parcels_.resize(numbers);
}

void engine::enqueue(call_id id, encoded& e, std::size_t first) {
  if (state_ == state::terminated) throw pool_terminated();
  if (state_ == state::broken) refuse();
  make_room_for_tasks(1);
  auto bytes = std::make_unique<parcel>(std::move(e.bytes));
  ledger_.submitted(e.items);
  call_record& c = calls_[id];
  c.items += e.items;
  c.remaining += e.items;
  if (c.bounded) {
    pending_items_ += e.items;
    pending_bytes_ += bytes->counted = bytes->bytes().size();
  }
  queue(id, std::move(bytes), e.items, first);
}

void engine::queue(call_id id, std::unique_ptr<parcel> bytes, std::size_t items,
                   std::size_t first) noexcept {
  const task_id task = scheduler_.add(id, first, static_cast<std::uint32_t>(items));
  bytes->base = first;
  bytes->users = bytes->to_end = 1;
  bytes->epoch = publications_.joined();
  parcels_[task] = bytes.release();
}

std::size_t engine::enqueue_one(guard& l, const std::shared_ptr<detail::batch>& call,
                                const detail::entry_point& entry, encoded& e,
                                const detail::call_options& options) {
  if (e.items == 0) {
    // A closed pool takes no stream, not even an empty one; but one that it took may find its end.
    if (options.place == 0 && state_ != state::running) refuse();
    return 0;
  }
  send_bundle();  // came before
  line_place in_line(*this, l);
  if (bounded(options)) await_room(l, in_line, e, std::nullopt, options);
  call_id id = open_call(call, entry, options);
  enqueue(id, e, 0);
  calls_[id].open = false;
  return e.items;
}

std::size_t engine::submit(const std::shared_ptr<detail::batch>& call,
                           const detail::entry_point& entry, detail::source& input,
                           const detail::call_options& options) {
  check_process();
  check_limits(options);
  guard l(*this, std::defer_lock);
  std::size_t n = 0;
  try {
    if (options.one_chunk) {
      encoded e = encode(input, options.chunksize, options);
      n = e.items;
      if (n != 0) call->extend(n);
      l.lock();
      if (gather(call, entry, e, options)) {
        if (!bundle_.full()) return n;
      } else if (enqueue_one(l, call, entry, e, options) == 0) {
        return 0;
      }
      const auto calls = static_cast<std::uint32_t>(std::max<std::size_t>(1, bundle_.size()));
      const auto now = clock::now();
      pump(now);
      take_a_turn(l, now, calls);
    } else {
      l.lock();
      send_bundle();
      call_id id = open_call(call, entry, options);
      l.unlock();
      n = encode_all(id, call, input, options);
      l.lock();
      calls_[id].open = false;
      settle(id);
    }
    if (options_.caller_runs) wait_locked(l, *call, never);
  } catch (...) {
    if (!l.owns_lock()) l.lock();
    drop_call(*call);
    throw;
  }
  return n;
}

void engine::drop_call(detail::batch& call) noexcept {
  call.gather_in = nullptr;
  try {
    send_bundle();
  } catch (...) {  // no memory: it runs, for nobody
    return;
  }
  if (call.ready() || access::call(call) == 0) return;
  call_id id = access::call(call) - 1;
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

std::size_t engine::run(const std::shared_ptr<detail::batch>& call,
                        const detail::entry_point& entry, detail::source& input,
                        const detail::call_options& options) {
  check_process();
  not_from_callback();
  if (!options.one_chunk) {
    std::size_t n = submit(call, entry, input, options);
    wait(*call, never);
    return n;
  }
  check_limits(options);
  guard l(*this, std::defer_lock);
  try {
    encoded e = encode(input, options.chunksize, options);
    const std::size_t n = e.items;
    if (n != 0) call->extend(n);
    l.lock();
    if (enqueue_one(l, call, entry, e, options) == 0) return 0;
    // Who waits attends first and then sends: the worker needs not wake the background thread.
    if (driver_ != std::thread::id()) pump(clock::now());
    wait_locked(l, *call, never);
    return n;
  } catch (...) {
    if (!l.owns_lock()) l.lock();
    drop_call(*call);
    throw;
  }
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
      const auto now = clock::now();
      burst_.waited(now);
      leave(now);
    }
    access::waiting(what) = nullptr;
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
// background thread must not sleep longer than the one did that left.
void engine::hand_over() {
  if (driver_ != std::thread::id()) return;
  if (!waiters_.empty()) {
    waiters_.front()->woken.notify_one();
    return;
  }
  sleeping_until_ = background_until_;
  if (auto due = next_deadline(); due < sleeping_until_) {
    sleeping_until_ = due;
    backend_->interrupt();
  }
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

bool engine::cancel(detail::batch& call) {
  check_process();
  guard l(*this);
  send_bundle();
  if (call.ready() || access::call(call) == 0) return false;
  call_id id = access::call(call) - 1;
  const auto now = clock::now();
  if (calls_[id].together()) {
    const bool ends = end_member(id, access::item(call), now);
    pump(now);
    return ends;
  }
  const call_end before = calls_[id].end;
  if (calls_[id].open || before == call_end::deadline) return false;
  const bool any = end_call(id, call_end::cancelled, now) != 0;
  if (!any) calls_[id].end = before;
  pump(now);
  return any;
}

bool engine::started(detail::batch& call) {
  if (!options_.own_process()) return false;
  guard l(*this);
  if (call.ready() || access::call(call) == 0) return false;
  call_id id = access::call(call) - 1;
  if (calls_[id].together()) return has_begun(id, access::item(call));
  std::size_t untouched = 0;
  scheduler_.each_task_of(id, [&](task_id t) {
    const scheduler::task& each = scheduler_[t];
    if (each.worker == scheduler::none || backend_->claimed(each.worker, t) == 0)
      untouched += each.count;
  });
  return untouched != calls_[id].items;
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

// ---- stopping -----------------------------------------------------------------------------------

void engine::close() {
  check_process();
  guard l(*this);
  close_locked();
}

void engine::close_locked() {
  if (state_ != state::running) return;
  state_ = state::closed;
  dismiss([](const line_place& p) { return !p.call_; });
  maybe_retire();
}

void engine::terminate() {
  check_process();
  guard l(*this);
  if (state_ == state::terminated) return;
  bool broken_before = state_ == state::broken;
  state_ = state::terminated;
  if (!broken_before) fail_all_calls([] { return make_error<pool_terminated>(); });
  backend_->kill_all();
  wake_by(next_deadline());
}

bool engine::join(clock::time_point deadline) {
  check_process();
  {
    guard l(*this);
    if (state_ == state::running)
      throw std::logic_error("procpool: join() before close() or terminate()");
    if (backend_->gone() && reading_ == 0) make_ready(gone_);
  }
  return wait(gone_, deadline);
}

std::string engine::to_string() const {
  std::string name = "unusable here";
  if (options_.own_process()) {
    guard l(*this);
    name = state_ == state::running  ? "running"
           : state_ == state::closed ? "closed"
           : state_ == state::broken ? "broken"
                                     : "terminated";
  }
  return "<procpool::pool state=" + name + " processes=" + std::to_string(processes()) + ">";
}

void engine::shut_down(bool now) noexcept {
  if (!options_.own_process()) {
    static_cast<void>(thread_.release());  // names a thread of another process
    return;
  }
  if (now) {
    terminate();
  } else {
    guard l(*this);
    close_locked();
  }
  if (std::this_thread::get_id() == background_id_) {
    // Destroyed by a callback: the thread keeps the engine until the workers are gone.
    guard l(*this);
    orphaned_ = true;
    if (thread_) thread_->detach();
    thread_.reset();
    return;
  }
  try {
    join(never);
  } catch (...) {
    terminate();
  }
  stop_background();
}

void engine::stop_background() noexcept {
  {
    guard l(*this);
    stop_ = true;
    backend_->interrupt();
  }
  if (thread_) thread_->join();
  thread_.reset();
}

}  // namespace procpool::core
