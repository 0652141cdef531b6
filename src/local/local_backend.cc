// SPDX-License-Identifier: MIT
#include "local/local_backend.h"

#include <sys/eventfd.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/sys.h"
#include "local/autopsy.h"
#include "local/boot.h"
#include "local/executed.h"
#include "process/program.h"
#include "shm/module_list.h"

namespace procpool::local {

using stage = supervisor::stage;

local_backend::local_backend(std::uint32_t workers, start_method method,
                             const child_options& options,
                             std::shared_ptr<const base::process_mark> mark,
                             const base::cgroups& groups)
    : memory_(std::make_shared<shm::segment>(workers)),
      mark_(std::move(mark)),
      busy_(core::most_processes),
      coming_or_going_(core::most_processes),
      can_hold_(sys::membarrier() == 0),
      arena_(memory_->parcels().data(), memory_->parcels().size()) {
  // The zygote comes before everything it has no business to inherit, which is made while it
  // starts.
  zygote_ = make_zygote(method, options, [&] {
    bell_ = std::make_unique<bell>(memory_->head());
    add_places(workers);
    oom_.emplace(groups);
  });
  supervisor_ = std::make_unique<supervisor>(
      *zygote_, options.initializer != nullptr,
      [this](std::uint32_t worker, bool suspicious) { return prepare(worker, suspicious); });
  supervisor_->grow(many_);
  int control[] = {zygote_->socket(), zygote_->pidfd()};
  bell_->watch_control(control);
  supervisor_->fill();
}

local_backend::place::place(const std::shared_ptr<shm::segment>& memory,
                            std::shared_ptr<const base::process_mark> mark, std::uint32_t worker)
    : channel(memory->head(), memory->window_of(worker), memory->results_size()),
      held(std::make_shared<shm::held_blocks>(memory, std::move(mark), memory->window_of(worker),
                                              memory->results_size())),
      bell(sys::check(sys::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "eventfd")) {}

// The socket is this worker's alone: what was sent to the one before, and what that one has left
// the other end to, ends with it.
supervisor::outfit local_backend::prepare(std::uint32_t worker, bool suspicious) {
  place& p = place_of(worker);
  int ends[2];
  sys::check(sys::socketpair(ends), "socketpair for a worker");
  p.line = base::fd(ends[0]);
  p.channel.prepare(suspicious);
  p.held->starting();
  coming_or_going_.insert(worker);
  expect(worker);
  return {p.bell.get(), base::fd(ends[1])};
}

std::unique_ptr<process::zygote_client> local_backend::make_zygote(
    start_method method, const child_options& options, const std::function<void()>& meanwhile) {
  if (method == start_method::fork) {
    look_names_up();
    return std::make_unique<process::zygote_client>(
        [this, options](std::uint32_t worker, std::uint32_t, process::gifts given) {
          live(*memory_, std::move(given), worker, options);
        },
        [this, &options] {
          // There are some when this is not the first try.
          bell_.reset();
          for (auto& block : blocks_) block.reset();
          process::set_depth(process::depth() + 1);
          memory_->protect();
          prepare_to_live(options);
        },
        meanwhile);
  }
  const boot b{options, method == start_method::spawn};
  write_boot(b, memory_->head(), arena_.allocate(boot_size(b)));
  tell_modules();
  const int memory[] = {memory_->descriptor()};
  return std::make_unique<process::zygote_client>(memory, meanwhile);
}

// Vectors that are still held keep the pool's memory; but nothing of it that is not theirs.
local_backend::~local_backend() {
  if (!mark_->here()) return;
  bool held = false;
  for (std::uint32_t w = 0; w < many_; ++w) held = held || !place_of(w).held->empty();
  if (!held) return;
  sys::madvise(memory_->parcels().data(), memory_->parcels().size(), MADV_REMOVE);
  for (std::uint32_t w = 0; w < many_; ++w) place_of(w).held->ended(0);
}

void local_backend::grow(std::uint32_t workers) {
  if (workers <= many_) return;
  memory_->grow(workers);
  add_places(workers);
}

// All of them or none; but the memory stays.
void local_backend::add_places(std::uint32_t workers) {
  to_wake_.reserve(workers);
  try {
    for (std::uint32_t w = many_; w < workers; ++w) {
      auto& block = blocks_[w / in_block];
      if (block == nullptr) block = std::make_unique<place_block>();
      auto& made = (*block)[w % in_block];
      made = std::make_unique<place>(memory_, mark_, w);
      bell_->add(made->bell);
    }
    if (supervisor_ != nullptr) supervisor_->grow(workers);
  } catch (...) {
    for (std::uint32_t w = many_; w < workers; ++w)
      if (auto& block = blocks_[w / in_block]; block != nullptr) (*block)[w % in_block].reset();
    throw;
  }
  many_ = workers;
}

void local_backend::keep(std::uint32_t workers) { supervisor_->keep(workers); }

std::optional<core::worker_process> local_backend::process_of(core::worker_id worker) const {
  if (supervisor_->gone()) return std::nullopt;
  using core::worker_process;
  const int pid = supervisor_->pid_of(worker);
  switch (supervisor_->stage_of(worker)) {
    case stage::starting:
      return worker_process{pid, worker_process::stage::starting};
    case stage::up:
      return worker_process{pid, worker_process::stage::up};
    case stage::leaving:
      return worker_process{pid, worker_process::stage::leaving};
    default:
      return std::nullopt;
  }
}

// ---- parcels ------------------------------------------------------------------------------------

core::block local_backend::allocate(std::size_t size) {
  std::lock_guard hold(arena_mutex_);
  return {arena_.allocate(size), shm::arena::capacity(size)};
}

void local_backend::free(core::block b) noexcept {
  std::lock_guard hold(arena_mutex_);
  arena_.free(b.data, b.size);
}

void local_backend::free_copy(sent& s) noexcept {
  if (s.copy.data != nullptr) free(s.copy);
  s.copy = {};
}

// ---- sending ------------------------------------------------------------------------------------

void local_backend::tell_modules() {
  std::vector<base::module_name> fresh = base::modules();
  modules_told_ = base::modules_seen();
  std::erase_if(fresh, [this](const base::module_name& m) {
    return std::find(told_of_.begin(), told_of_.end(), m.id) != told_of_.end();
  });
  if (fresh.empty()) return;
  told_of_.reserve(told_of_.size() + fresh.size());
  const core::block room = allocate(shm::module_records_size(fresh));
  shm::add_modules(memory_->head(), room.data, fresh);
  for (const base::module_name& m : fresh) told_of_.push_back(m.id);
}

const base::token& local_backend::token_of(const detail::entry_point* entry) {
  if (entry != last_entry_) {
    auto known = tokens_.find(entry);
    if (known == tokens_.end()) known = tokens_.emplace(entry, base::name(entry)).first;
    last_entry_ = entry;
    last_token_ = &known->second;
  }
  return *last_token_;
}

void local_backend::send(core::worker_id worker, const core::task_message& message) {
  place& p = place_of(worker);
  const base::token& entry = token_of(message.entry);
  // Whoever encoded the parcel has looked at the modules, when it names functions of them.
  if (base::modules_seen() != modules_told_) tell_modules();
  shm::message m{entry.module,        entry.offset,
                 message.entry->type, message.first,
                 message.count,       message.parcel,
                 shm::in_slot,        message.timed,
                 message.each,        static_cast<std::uint32_t>(message.attached.size())};
  core::block copy;
  if (message.in_block) {
    m.parcel_at = static_cast<std::uint64_t>(message.parcel.data() - memory_->parcels().data());
  } else if (message.parcel.size() > shm::inline_size) {
    copy = allocate(message.parcel.size());
    std::memcpy(copy.data, message.parcel.data(), message.parcel.size());
    m.parcel_at = static_cast<std::uint64_t>(copy.data - memory_->parcels().data());
  }
  std::uint32_t index = p.channel.send(m);
  p.slots[index % shm::ring_slots] = {message.task, message.count, copy};
  expect(worker);
  if (!p.to_wake) {
    p.to_wake = true;
    to_wake_.push_back(worker);
  }
}

void local_backend::flush() {
  for (std::uint32_t w : to_wake_) {
    place_of(w).to_wake = false;
    place_of(w).channel.wake();
  }
  to_wake_.clear();
}

// Searched from the newest on: that is what is taken back first.
bool local_backend::find(core::worker_id worker, core::task_id task, std::uint32_t& index) const {
  const place& p = place_of(worker);
  for (index = p.channel.end(); index-- != p.channel.first();)
    if (p.slots[index % shm::ring_slots].task == task) return true;
  return false;
}

std::uint32_t local_backend::recall(core::worker_id worker, core::task_id task,
                                    std::uint32_t keep) {
  std::uint32_t index = 0;
  if (!find(worker, task, index)) return ~std::uint32_t{0};
  return place_of(worker).channel.take_back(index, keep);
}

std::uint32_t local_backend::claimed(core::worker_id worker, core::task_id task) {
  std::uint32_t index = 0;
  if (!find(worker, task, index)) return ~std::uint32_t{0};
  return place_of(worker).channel.claimed(index);
}

// ---- stopping what runs -------------------------------------------------------------------------

// The time is the worker's word: not believed when it lies ahead, or moves while the item does not.
std::optional<core::at_hand> local_backend::told(core::worker_id worker,
                                                 const std::optional<shm::at_hand>& at) {
  if (!at) return std::nullopt;
  place& p = place_of(worker);
  const sent& s = p.slots[at->index % shm::ring_slots];
  if (s.count == 0) return std::nullopt;  // told to leave
  core::at_hand now{s.task, at->item, at->running, {}};
  if (!now.running) return now;
  const bool known = p.seen.running && p.seen.task == now.task && p.seen.item == now.item &&
                     p.seen_at == at->index;
  const clock::time_point said(std::chrono::nanoseconds(
      static_cast<std::int64_t>(std::min<std::uint64_t>(at->since, INT64_MAX))));
  now.since = std::min(said, known ? p.seen.since : clock::now());
  p.seen = now;
  p.seen_at = at->index;
  return now;
}

std::optional<core::at_hand> local_backend::look(core::worker_id worker) {
  return told(worker, place_of(worker).channel.look());
}

std::optional<core::at_hand> local_backend::hold(core::worker_id worker) {
  return told(worker, place_of(worker).channel.close_gate());
}

void local_backend::expect(core::worker_id worker) noexcept {
  busy_.insert(worker);
  bell_->expect();
}

// ---- hearing ------------------------------------------------------------------------------------

core::task_reply local_backend::reply_of(std::uint32_t worker, const shm::answer& a) const {
  const sent& s = place_of(worker).slots[a.index % shm::ring_slots];
  if (a.bytes.size() > shm::inline_size) place_of(worker).held->await_drops();
  return {worker,
          a.index,
          s.task,
          s.count,
          a.done,
          a.bytes,
          a.nanoseconds,
          supervisor_->pid_of(worker),
          place_of(worker).held.get()};
}

void local_backend::poll(std::vector<core::event>& to) {
  if (bell_->control_due() || supervisor_->holds_news()) {
    std::vector<supervisor::ended> ended;
    supervisor_->read(ended);
    for (const std::uint32_t w : supervisor_->take_signalled())
      to.emplace_back(core::signal_sent{w});
    for (const auto& e : ended) lose(e, to);
    if (supervisor_->gone()) {
      bell_->forget(zygote_->socket());
      bell_->forget(zygote_->pidfd());
    }
  }
  if (supervisor_->next_deadline() != clock::time_point::max()) supervisor_->tick(clock::now());
  busy_.each([&](std::uint32_t w) { poll_worker(w, to); });
  // Also while others answer so fast that nobody ever has to wait.
  if (take(slept_) || ++polls_ % 64 == 0) poll_parts(to);
  if (auto why = supervisor_->take_broken()) to.emplace_back(std::move(*why));
}

void local_backend::poll_worker(std::uint32_t worker, std::vector<core::event>& to) {
  place& p = place_of(worker);
  switch (supervisor_->stage_of(worker)) {
    case stage::starting:
      if (p.channel.state() == shm::worker_state::ready) {
        supervisor_->is_up(worker);
        coming_or_going_.erase(worker);
        to.emplace_back(core::worker_up{worker});
        if (retiring_) retire(worker);
      }
      break;
    case stage::up:
    case stage::leaving:
      while (auto a = p.channel.read()) {
        if (p.slots[a->index % shm::ring_slots].count == 0) {  // the leave message
          p.channel.release(a->index);
          continue;
        }
        const core::task_finished f = finished(worker, *a);
        supervisor_->serves(worker);
        if (f.retires) leaves(worker);
        to.emplace_back(f);
      }
      if (const auto w = p.channel.wish())
        to.emplace_back(core::descriptor_wanted{worker, p.slots[w->index % shm::ring_slots].task,
                                                w->number, w->serial});
      if (p.channel.corrupt()) {
        supervisor_->kill(worker);
      } else if (p.channel.unanswered() == 0 && supervisor_->stage_of(worker) == stage::up) {
        busy_.erase(worker);
      }
      break;
    default:
      break;
  }
}

// Only when there is nothing better to do: a task that is answered soon is better read at once.
void local_backend::poll_parts(std::vector<core::event>& to) {
  busy_.each([&](std::uint32_t w) {
    const auto at = supervisor_->stage_of(w);
    if (at != stage::up && at != stage::leaving) return;
    place& p = place_of(w);
    if (const auto a = p.channel.partial()) to.emplace_back(core::task_progressed{reply_of(w, *a)});
    if (p.channel.corrupt()) supervisor_->kill(w);
  });
}

void local_backend::lose(const supervisor::ended& e, std::vector<core::event>& to) {
  place& p = place_of(e.worker);
  core::fate how = e.how;
  const auto find_cause = [&] {
    const shm::window& own = memory_->window_of(e.worker);
    how.known = examine(how.pid, how.status, e.usage, own.last, own.printed, *oom_);
  };
  if (!e.as_agreed) find_cause();
  if (!e.was_up) {
    shm::worker_state state = p.channel.state();
    if (state != shm::worker_state::ready) {
      std::exception_ptr cause;
      if (state == shm::worker_state::failed)
        cause = detail::decode_error(p.channel.failure(), how.pid);
      supervisor_->failed_to_start(e.worker, how, std::move(cause));
      p.held->ended(shm::arena::most_warm);
      busy_.erase(e.worker);
      supervisor_->bury(e.worker);
      return;
    }
    to.emplace_back(core::worker_up{e.worker});
  }
  core::worker_lost lost;
  lost.worker = e.worker;
  lost.retired = e.as_agreed;
  while (auto a = p.channel.read()) {
    if (p.slots[a->index % shm::ring_slots].count == 0) continue;
    const core::task_finished f = finished(e.worker, *a);
    if (f.retires) lost.retired = true;
    supervisor_->serves(e.worker);
    to.emplace_back(f);
  }
  while (auto a = p.channel.salvage()) {
    if (p.slots[a->index % shm::ring_slots].count == 0) continue;
    lost.left.push_back({reply_of(e.worker, *a), a->started});
  }
  const bool at_work = std::ranges::any_of(lost.left, [](const auto& l) { return l.started; });
  if (at_work) supervisor_->serves(e.worker);
  if (at_work && e.as_agreed) find_cause();  // it was told to leave, and then f called exit(0)
  if (!lost.retired) supervisor_->died_idle(e.worker, how);
  lost.how = std::move(how);
  to.emplace_back(std::move(lost));
}

// A worker that is not even told that there is nothing for it would wait for ever.
void local_backend::give(core::worker_id worker, std::uint32_t serial, int descriptor) {
  place& p = place_of(worker);
  if (!shm::answer_wish(p.line.get(), serial, descriptor)) p.channel.give_up();
}

void local_backend::release(core::worker_id worker, std::uint32_t ticket) {
  place& p = place_of(worker);
  free_copy(p.slots[ticket % shm::ring_slots]);
  p.channel.release(ticket);
}

void local_backend::bury(core::worker_id worker) {
  for (sent& s : place_of(worker).slots) free_copy(s);
  place_of(worker).channel.silence();
  place_of(worker).held->ended(shm::arena::most_warm);
  place_of(worker).line.reset();
  busy_.erase(worker);
  supervisor_->bury(worker);
}

// ---- waiting ------------------------------------------------------------------------------------

bool local_backend::ready() const noexcept {
  return busy_.any([this](std::uint32_t w) { return place_of(w).channel.ready(); });
}

bool local_backend::part_ready() const noexcept {
  return busy_.any([this](std::uint32_t w) { return place_of(w).channel.part_ready(); });
}

bool local_backend::elsewhere() const noexcept {
  const auto cpu = static_cast<std::uint32_t>(sys::getcpu());
  return busy_.any([this, cpu](std::uint32_t w) {
    return !coming_or_going_.contains(w) && place_of(w).channel.elsewhere(cpu);
  });
}

void local_backend::leave(bool quietly) {
  bell_->leave(quietly, !busy_.empty(), [this] { return ready() || part_ready(); });
}

void local_backend::wait(clock::time_point deadline) {
  bell_->wait(
      deadline, [this] { return ready(); },
      [this] {
        slept_.store(true, std::memory_order_relaxed);
        return part_ready();
      },
      [this] { return elsewhere(); },
      [this] {
        std::uint64_t last = 0;
        busy_.each(
            [&](std::uint32_t w) { last = std::max(last, place_of(w).channel.woke_parent()); });
        return last;
      });
}

core::woken_by local_backend::wait_in_background(clock::time_point deadline) {
  const core::woken_by why = bell_->wait_in_background(deadline);
  slept_.store(true, std::memory_order_relaxed);
  return why;
}

clock::time_point local_backend::next_deadline() const { return supervisor_->next_deadline(); }

// ---- stopping -----------------------------------------------------------------------------------

void local_backend::retire(core::worker_id worker) {
  place& p = place_of(worker);
  std::uint32_t index = p.channel.end();
  p.slots[index % shm::ring_slots] = {};
  expect(worker);
  p.channel.send_leave();
  p.channel.wake();
  leaves(worker);
}

void local_backend::leaves(core::worker_id worker) noexcept {
  supervisor_->leaves(worker);
  coming_or_going_.insert(worker);
}

void local_backend::retire_all() {
  retiring_ = true;
  supervisor_->retire();
  for (std::uint32_t w = 0; w < workers(); ++w)
    if (supervisor_->stage_of(w) == stage::up) retire(w);
}

void local_backend::kill_all() noexcept { supervisor_->stop(); }

}  // namespace procpool::local
