// SPDX-License-Identifier: MIT
#include "shm/channel.h"

#include <algorithm>
#include <cstring>

#include "base/futex.h"
#include "base/monotonic.h"
#include "base/step.h"
#include "base/sys.h"

namespace procpool::shm {
namespace {

constexpr std::uint64_t most_nanoseconds = std::uint64_t{1} << 51;

std::uint32_t this_cpu() noexcept { return static_cast<std::uint32_t>(sys::getcpu()); }

// Written only where it changes: else the other side would have to fetch, for each message, the
// cache line that this stands in, and others that it asks for each time.
void note(std::atomic<std::uint32_t>& word, std::uint32_t cpu) noexcept {
  if (word.load(std::memory_order_relaxed) != cpu) word.store(cpu, std::memory_order_relaxed);
}

}  // namespace

// ---- the parent's half --------------------------------------------------------------------------

void parent_half::prepare(bool suspicious) noexcept {
  read_.store(tail_, std::memory_order_relaxed);
  oldest_ = tail_;
  released_.fill(false);
  corrupt_ = false;
  wishes_ = false;
  if (suspicious) {
    for (std::uint32_t i = 0; i < ring_slots; ++i) {
      window_.tasks[i].word.store(0, std::memory_order_relaxed);
      window_.replies[i].word.store(0, std::memory_order_relaxed);
    }
  }
  reply_slot& first = window_.replies[tail_ % ring_slots];
  first.word.store(0, std::memory_order_relaxed);
  first.written.store(0, std::memory_order_relaxed);
  first.place.store(in_slot, std::memory_order_relaxed);
  clear(window_.last, window_.printed);
  window_.start = tail_;
  gate_closed_ = false;
  may_stop_.fill(false);
  window_.gate.store(0, std::memory_order_relaxed);
  window_.asked.store(0, std::memory_order_relaxed);
  window_.asleep.store(0, std::memory_order_relaxed);
  window_.state.store(static_cast<std::uint32_t>(worker_state::starting),
                      std::memory_order_release);
}

worker_state parent_half::state() const noexcept {
  std::uint32_t s = window_.state.load(std::memory_order_acquire);
  return s <= static_cast<std::uint32_t>(worker_state::failed) ? static_cast<worker_state>(s)
                                                               : worker_state::failed;
}

std::span<const std::byte> parent_half::failure() const noexcept {
  return bytes_of(window_.replies[tail_ % ring_slots]).value_or(std::span<const std::byte>{});
}

std::uint32_t parent_half::send(const message& m) noexcept {
  std::uint32_t index = tail_++;
  std::uint32_t i = index % ring_slots;
  kept_[i] = m.count;
  released_[i] = false;
  may_stop_[i] = false;
  told_[i].store(0, std::memory_order_relaxed);
  each_[i].store(m.each, std::memory_order_relaxed);

  reply_slot& r = window_.replies[i];
  r.word.store(0, std::memory_order_relaxed);
  r.progress.store(0, std::memory_order_relaxed);
  r.written.store(0, std::memory_order_relaxed);
  r.place.store(in_slot, std::memory_order_relaxed);

  task_slot& t = window_.tasks[i];
  t.module = m.module;
  t.offset = m.offset;
  t.type = m.type;
  t.first = m.first;
  t.count = m.count;
  t.parcel_size = m.parcel.size();
  t.parcel_at = m.parcel_at;
  t.flags = (m.timed ? task_timed : 0U) | (m.each ? task_each : 0U);
  t.attached = m.attached;
  wishes_left_[i] = 2 * m.attached;
  if (m.parcel_at == in_slot && !m.parcel.empty())
    std::memcpy(t.bytes, m.parcel.data(), m.parcel.size());
  publish(t.word, index, m.count);
  return index;
}

void parent_half::send_leave() noexcept { send({0, 0, 0, 0, 0, {}, in_slot}); }

void parent_half::wake() noexcept {
  note(head_.cpu, this_cpu());
  // Orders the published words before the look at `asleep`; the worker does the reverse.
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (window_.asleep.load(std::memory_order_relaxed) == 0) return;
  window_.asleep.store(0, std::memory_order_relaxed);
  window_.woke_worker.store(base::monotonic(), std::memory_order_relaxed);
  window_.bell.fetch_add(1, std::memory_order_release);
  base::futex::wake(window_.bell, 1);
}

std::uint32_t parent_half::take_back(std::uint32_t index, std::uint32_t keep) noexcept {
  std::uint32_t i = index % ring_slots;
  if (keep >= kept_[i]) return kept_[i];
  task_word w = shm::take_back(window_.tasks[i].word, keep);
  // Nobody but the parent moves the end; and what has ended had been claimed.
  if (w.lap != lap_of(index) || w.next > w.end || w.end != std::clamp(w.next, keep, kept_[i]) ||
      w.end < told_[i].load(std::memory_order_relaxed)) {
    corrupt_ = true;
    return kept_[i];
  }
  kept_[i] = w.end;
  return w.end;
}

std::uint32_t parent_half::claimed(std::uint32_t index) const noexcept {
  std::uint32_t i = index % ring_slots;
  task_word w = task_word::from(window_.tasks[i].word.load(std::memory_order_acquire));
  return std::min(w.next, kept_[i]);
}

std::optional<std::span<const std::byte>> parent_half::bytes_of(
    const reply_slot& r) const noexcept {
  return bytes_at(r, r.place.load(std::memory_order_relaxed),
                  r.written.load(std::memory_order_relaxed));
}

std::optional<std::span<const std::byte>> parent_half::bytes_at(const reply_slot& r,
                                                                std::uint64_t place,
                                                                std::uint64_t size) const noexcept {
  if (place == in_slot) {
    if (size > inline_size) return std::nullopt;
    return std::span(r.bytes, static_cast<std::size_t>(size));
  }
  if (place % 4096 != 0 || place > results_size_ || size > results_size_ - place)
    return std::nullopt;
  return std::span(results_ + place, static_cast<std::size_t>(size));
}

std::optional<answer> parent_half::read() noexcept {
  const std::uint32_t index = first();
  const std::uint32_t lap = lap_of(index);
  reply_slot& r = window_.replies[index % ring_slots];
  const std::uint32_t word = r.word.load(std::memory_order_acquire);
  if (word != lap) {
    wishes_ = static_cast<std::uint16_t>(word) == lap;
    return std::nullopt;
  }
  __builtin_prefetch(r.bytes);
  if (corrupt_) return std::nullopt;
  if (unanswered() == 0) {  // an answer that nobody asked for would keep ready() true for ever
    corrupt_ = true;
    return std::nullopt;
  }
  std::uint32_t kept = kept_[index % ring_slots];
  std::uint32_t progress = r.progress.load(std::memory_order_relaxed);
  const auto ending = static_cast<reply_ending>(r.ending.load(std::memory_order_relaxed));
  auto bytes = bytes_of(r);
  std::uint32_t done = progress / 2;
  const bool may_be_short = ending == reply_ending::retires ||
                            (ending == reply_ending::stopped && may_stop_[index % ring_slots]);
  if (!bytes || progress % 2 != 0 || done > kept || (done < kept && !may_be_short)) {
    corrupt_ = true;
    return std::nullopt;
  }
  if (done < told_[index % ring_slots].load(std::memory_order_relaxed)) {
    corrupt_ = true;
    return std::nullopt;
  }
  each_[index % ring_slots].store(false, std::memory_order_relaxed);
  read_.store(index + 1, std::memory_order_relaxed);
  // No task has run for longer than a month: the number is the worker's word.
  std::uint64_t nanoseconds = r.nanoseconds.load(std::memory_order_relaxed);
  return answer{index, done, false, ending, *bytes, std::min(nanoseconds, most_nanoseconds)};
}

// Bytes of a later item than `done` may be among them: one that was finished meanwhile.
std::optional<answer> parent_half::partial() noexcept {
  if (corrupt_ || unanswered() == 0 || !part_ready()) return std::nullopt;
  const std::uint32_t index = first();
  const std::uint32_t i = index % ring_slots;
  const reply_slot& r = window_.replies[i];
  std::uint64_t written = r.written.load(std::memory_order_acquire);
  for (int tries = 0; tries < 16; ++tries) {
    const std::uint32_t done = r.progress.load(std::memory_order_acquire) / 2;
    const std::uint64_t place = r.place.load(std::memory_order_acquire);
    const std::uint64_t again = r.written.load(std::memory_order_acquire);
    if (std::exchange(written, again) != again) continue;
    const auto bytes = bytes_at(r, place, written);
    if (!bytes || done > kept_[i] || done <= told_[i].load(std::memory_order_relaxed)) {
      corrupt_ = true;
      return std::nullopt;
    }
    told_[i].store(done, std::memory_order_relaxed);
    return answer{index, done, false, reply_ending::whole, *bytes, 0};
  }
  return std::nullopt;  // it is faster than this thread: there will be more
}

// ---- stopping what runs -------------------------------------------------------------------------

std::uint32_t parent_half::first_unpublished() const noexcept {
  std::uint32_t index = first();
  while (index != end() &&
         window_.replies[index % ring_slots].word.load(std::memory_order_acquire) == lap_of(index))
    ++index;
  return index;
}

std::optional<at_hand> parent_half::look() const noexcept {
  for (std::uint32_t index = first(); index != end(); ++index) {
    const reply_slot& r = window_.replies[index % ring_slots];
    const bool answered = r.word.load(std::memory_order_acquire) == lap_of(index);
    if (answered && static_cast<reply_ending>(r.ending.load(std::memory_order_relaxed)) !=
                        reply_ending::stopped)
      continue;
    std::uint32_t progress = r.progress.load(std::memory_order_acquire);
    std::uint64_t since = r.since.load(std::memory_order_acquire);
    // A time and an item that go together; or, of a worker that runs through many, a later time.
    for (int i = 0; i < 16; ++i) {
      const std::uint32_t again = r.progress.load(std::memory_order_acquire);
      if (again == progress) break;
      progress = again;
      since = r.since.load(std::memory_order_acquire);
    }
    const std::uint32_t kept = kept_[index % ring_slots];
    const bool running = !answered && progress % 2 != 0 && progress / 2 < kept;
    return at_hand{index, std::min(progress / 2, kept), running, since};
  }
  return std::nullopt;
}

std::optional<at_hand> parent_half::close_gate() noexcept {
  const std::uint32_t before = first_unpublished();
  gate_closed_ = true;
  window_.gate.store(1, std::memory_order_seq_cst);
  // Each item of the worker's either began before this, and is seen to have, or sees the gate.
  if (sys::membarrier() != 0) {
    may_stop_[before % ring_slots] = true;  // it may have seen the gate
    may_stop_[(before + 1) % ring_slots] = true;
    open_gate();
    return std::nullopt;
  }
  // It sees the gate in one of these, perhaps before this thread gets here.
  const std::uint32_t after = first_unpublished();
  for (std::uint32_t index = before; index != end() && index - before <= after - before; ++index)
    may_stop_[index % ring_slots] = true;
  return look();
}

void parent_half::open_gate() noexcept {
  if (!gate_closed_) return;
  gate_closed_ = false;
  if (window_.asked.load(std::memory_order_relaxed) % 2 != 0)
    window_.asked.fetch_add(1, std::memory_order_relaxed);
  window_.gate.store(0, std::memory_order_release);
  window_.bell.fetch_add(1, std::memory_order_release);
  base::futex::wake(window_.bell, 1);
}

void parent_half::ask() noexcept {
  if (window_.asked.load(std::memory_order_relaxed) % 2 != 0) return;
  window_.asked.fetch_add(1, std::memory_order_release);
  base::futex::wake(window_.asked, 1);
}

std::optional<answer> parent_half::salvage() noexcept {
  if (unanswered() == 0) return std::nullopt;
  std::uint32_t index = read_.load(std::memory_order_relaxed);
  reply_slot& r = window_.replies[index % ring_slots];
  std::uint32_t kept = kept_[index % ring_slots];
  std::uint32_t progress = r.progress.load(std::memory_order_relaxed);
  const std::uint32_t told = told_[index % ring_slots].load(std::memory_order_relaxed);
  std::uint32_t done = std::max(told, std::min(progress / 2, kept));
  bool started = progress % 2 != 0 && done < kept;
  each_[index % ring_slots].store(false, std::memory_order_relaxed);
  read_.store(index + 1, std::memory_order_relaxed);
  return answer{
      index, done, started, reply_ending::whole, bytes_of(r).value_or(std::span<const std::byte>{}),
      0};
}

void parent_half::release(std::uint32_t index) noexcept {
  window_.replies[index % ring_slots].word.store(0, std::memory_order_release);
  released_[index % ring_slots] = true;
  while (oldest_ != read_.load(std::memory_order_relaxed) && released_[oldest_ % ring_slots])
    ++oldest_;
}

void parent_half::silence() noexcept {
  const std::uint32_t next = read_.load(std::memory_order_relaxed);
  window_.replies[next % ring_slots].word.store(0, std::memory_order_relaxed);
}

// ---- the worker's half --------------------------------------------------------------------------

worker_half::worker_half(const header& head, window& own, std::size_t results_size, int wake_parent,
                         int line)
    : head_(head),
      window_(own),
      results_at_(reinterpret_cast<std::byte*>(&own) + results_at),
      results_(std::make_shared<own_results>(own, results_at_, results_size)),
      wake_parent_(wake_parent),
      line_(line),
      at_(own.start),
      out_(*this),
      run_(*this) {
  held_.reserve(ring_slots);
}

void worker_half::report(worker_state state) {
  reply_slot& r = window_.replies[at_ % ring_slots];
  if (state == worker_state::failed) r.written.store(out_.size(), std::memory_order_relaxed);
  PROCPOOL_STEP("worker: before its state is published");
  window_.state.store(static_cast<std::uint32_t>(state), std::memory_order_release);
  PROCPOOL_STEP("worker: state published, parent not woken");
  std::uint64_t one = 1;
  sys::write(wake_parent_, &one, sizeof one);
}

detail::writer& worker_half::failure() {
  out_.start(window_.replies[at_ % ring_slots]);
  return out_;
}

void worker_half::wait_for_task() {
  const auto& word = window_.tasks[at_ % ring_slots].word;
  auto ready = [&] {
    return published(word, at_) && window_.gate.load(std::memory_order_acquire) == 0;
  };
  auto parent_elsewhere = [&](std::uint32_t cpu) {
    return head_.cpu.load(std::memory_order_relaxed) != cpu;
  };
  while (!ready()) {
    if (window_.gate.load(std::memory_order_relaxed) != 0)
      PROCPOOL_STEP("worker: waits behind the gate");
    const std::uint32_t cpu = this_cpu();
    note(window_.cpu, cpu);
    if (spinner_.spin(ready, [&] { return parent_elsewhere(cpu); })) return;
    std::uint32_t bell = window_.bell.load(std::memory_order_acquire);
    window_.asleep.store(1, std::memory_order_relaxed);
    std::atomic_thread_fence(std::memory_order_seq_cst);
    PROCPOOL_STEP("worker: about to sleep");
    results_->tidy();
    if (!ready()) base::futex::wait(window_.bell, bell, nullptr);
    PROCPOOL_STEP("worker: woken");
    window_.asleep.store(0, std::memory_order_relaxed);
    spinner_.woken(window_.woke_worker.load(std::memory_order_relaxed),
                   parent_elsewhere(this_cpu()));
  }
}

std::span<const std::byte> worker_half::parcel_of(const task_slot& t) const noexcept {
  if (t.parcel_at == in_slot) return {t.bytes, static_cast<std::size_t>(t.parcel_size)};
  auto parcels = reinterpret_cast<const std::byte*>(&head_) + head_.parcels_at;
  return {parcels + t.parcel_at, static_cast<std::size_t>(t.parcel_size)};
}

std::optional<worker_half::task> worker_half::receive(std::uint32_t quota) {
  wait_for_task();
  PROCPOOL_STEP("worker: sees a task, nothing claimed");
  const task_slot& t = window_.tasks[at_ % ring_slots];
  // On their way from the other CPU while this one does something else.
  __builtin_prefetch(t.bytes);
  __builtin_prefetch(&window_.replies[at_ % ring_slots], 1);
  __builtin_prefetch(window_.replies[at_ % ring_slots].bytes, 1);
  if (t.module == 0 && t.offset == 0) {
    PROCPOOL_STEP("worker: told to leave");
    return std::nullopt;
  }
  received_at_ = std::chrono::steady_clock::now();
  reply_slot& r = window_.replies[at_ % ring_slots];
  out_.start(r);
  run_.set(t, r, parcel_of(t));
  run_.quota = quota;
  if (t.type != last_type_) {
    last_type_ = t.type;
    run_.block = 1;
  }
  return task{t.module, t.offset, t.type, &run_};
}

void worker_half::run::set(const task_slot& t, reply_slot& r,
                           std::span<const std::byte> parcel) noexcept {
  parcel_ = parcel;
  first_ = t.first;
  count_ = t.count;
  progress_ = &r.progress;
  written_ = &r.written;
  gate_ = &half.window_.gate;
  since_ = (t.flags & task_timed) != 0 ? &r.since : nullptr;
  each_ = (t.flags & task_each) != 0;
  stopped_ = false;
  claimed = 0;
}

bool worker_half::run::claim(std::uint32_t& from, std::uint32_t& to) {
  if (claimed == quota) return false;
  std::uint32_t most = std::min(block, quota - claimed);
  if (each_) {
    // What is a call of its own must not stand behind another that runs for long: it stays where it
    // can be taken from.
    most = 1;
    if (claimed != 0 && half.has_too_much()) return false;
  } else if (claimed != 0 && claimed < count_) {
    // Enough items at once to make the claim's cost vanish, few enough to leave the rest to be
    // taken.
    auto now = std::chrono::steady_clock::now();
    if (half.has_too_much(now)) return false;
    auto took = now - claimed_at;
    claimed_at = now;
    if (took < std::chrono::microseconds(12) && block < most_items / 2) block *= 2;
    if (took > std::chrono::microseconds(50) && block > 1) block /= 2;
    most = std::min(block, quota - claimed);
  } else {
    claimed_at = half.received_at_;
  }
  PROCPOOL_STEP("worker: before a claim");
  std::uint32_t n = shm::claim(half.window_.tasks[half.at_ % ring_slots].word, most, from);
  if (n == 0) return false;
  claimed += n;
  to = from + n;
  PROCPOOL_STEP("worker: items claimed, none started");
  return true;
}

void worker_half::run::tell() noexcept {
  PROCPOOL_STEP("worker: an item ended, its caller not told");
  half.ring();
}

bool worker_half::answer(bool retires) {
  const auto now = std::chrono::steady_clock::now();
  // A worker that has run nothing stays: one that begins with too much would never run anything.
  retires = retires || (run_.claimed != 0 && has_too_much(now));
  reply_slot& r = window_.replies[at_ % ring_slots];
  if (std::size_t size = out_.block_size(); size != 0)
    held_.push_back({at_, results_at_ + r.place.load(std::memory_order_relaxed), size});
  const auto ending = retires          ? reply_ending::retires
                      : run_.stopped() ? reply_ending::stopped
                                       : reply_ending::whole;
  r.ending.store(static_cast<std::uint32_t>(ending), std::memory_order_relaxed);
  auto took = std::chrono::nanoseconds(now - received_at_);
  r.nanoseconds.store(static_cast<std::uint64_t>(took.count()), std::memory_order_relaxed);
  note(window_.cpu, this_cpu());
  if (run_.stopped()) PROCPOOL_STEP("worker: gives back what it did not start");
  PROCPOOL_STEP("worker: reply written, not published");
  r.word.store(lap_of(at_), std::memory_order_release);
  PROCPOOL_STEP("worker: reply published, parent not woken");
  ++at_;
  ring();
  results_->answered(at_ - 1);
  return retires;
}

void worker_half::ring() noexcept {
  std::atomic_thread_fence(std::memory_order_seq_cst);
  std::uint32_t bell = head_.bell.load(std::memory_order_relaxed);
  if (bell % 2 == 0 || bell == rung_) return;
  rung_ = bell;
  window_.woke_parent.store(base::monotonic(), std::memory_order_relaxed);
  std::uint64_t one = 1;
  sys::write(wake_parent_, &one, sizeof one);
  PROCPOOL_STEP("worker: parent woken");
}

void worker_half::free_released() noexcept {
  std::erase_if(held_, [this](const held& h) {
    if (h.index == at_ || window_.replies[h.index % ring_slots].word.load(
                              std::memory_order_acquire) == lap_of(h.index))
      return false;
    PROCPOOL_STEP("worker: block given back by the parent");
    results_->free_block(h.block, h.size);
    return true;
  });
}

// Of this reply: the block that it leaves, and the one that it ends in.
void worker_half::make_room_to_hold() {
  if (held_.capacity() - held_.size() < 2) held_.reserve(2 * held_.capacity());
}

void worker_half::outgrown(std::byte* block, std::size_t size) noexcept {
  if (run_.told_of_each())
    held_.push_back({at_, block, size});
  else
    results_->free_block(block, size);
}

void worker_half::reply_writer::start(reply_slot& slot) noexcept {
  slot_ = &slot;
  in_block_ = false;
  data_ = slot.bytes;
  size_ = 0;
  capacity_ = inline_size;
}

// The new block is whole before the slot names it: a death on the way leaves the old one valid.
void worker_half::reply_writer::grow(std::size_t more) {
  owner_.free_released();
  owner_.make_room_to_hold();
  std::size_t wanted = std::max(size_ + more, in_block_ ? capacity_ * 2 : size_ + more);
  std::byte* block = owner_.results_->allocate_block(wanted);
  PROCPOOL_STEP("worker: block allocated");
  if (size_ != 0) std::memcpy(block, data_, size_);
  PROCPOOL_STEP("worker: block written, not named");
  slot_->place.store(static_cast<std::uint64_t>(block - owner_.results_at_),
                     std::memory_order_release);
  PROCPOOL_STEP("worker: block named");
  if (in_block_) owner_.outgrown(data_, capacity_);
  data_ = block;
  capacity_ = arena::capacity(wanted);
  in_block_ = true;
}

}  // namespace procpool::shm
