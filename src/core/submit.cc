// SPDX-License-Identifier: MIT
// The engine's part that takes calls in: opens them, encodes their items in chunks, and queues
// those.
#include <algorithm>
#include <utility>

#include "core/engine.h"
#include "procpool/error.h"

namespace procpool::core {

using detail::access;

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
  calls_[id].entry = &entry;  // the rest is as new: whoever closes a call leaves it so
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
  return accept(call, entry, input, options, false);
}

std::size_t engine::run(const std::shared_ptr<detail::batch>& call,
                        const detail::entry_point& entry, detail::source& input,
                        const detail::call_options& options) {
  check_process();
  not_from_callback();
  return accept(call, entry, input, options, true);
}

std::size_t engine::accept(const std::shared_ptr<detail::batch>& call,
                           const detail::entry_point& entry, detail::source& input,
                           const detail::call_options& options, bool waits) {
  check_limits(options);
  guard l(*this, std::defer_lock);
  try {
    const std::size_t n = options.one_chunk ? accept_one(l, call, entry, input, options, waits)
                                            : accept_chunks(l, call, entry, input, options);
    if (n != 0 && (waits || options_.caller_runs)) wait_locked(l, *call, never);
    return n;
  } catch (...) {
    if (!l.owns_lock()) l.lock();
    drop_call(*call);
    throw;
  }
}

std::size_t engine::accept_one(guard& l, const std::shared_ptr<detail::batch>& call,
                               const detail::entry_point& entry, detail::source& input,
                               const detail::call_options& options, bool waits) {
  encoded e = encode(input, options.chunksize, options);
  const std::size_t n = e.items;
  if (n != 0) call->extend(n);
  l.lock();
  std::uint32_t calls = 1;
  if (!waits && gather(call, entry, e, options)) {
    if (!bundle_.full()) return n;
    calls = static_cast<std::uint32_t>(bundle_.size());
  } else if (enqueue_one(l, call, entry, e, options) == 0) {
    return 0;
  }
  // Who waits attends first and then sends: the worker needs not wake the background thread.
  if (waits && driver_ == std::thread::id()) return n;
  const auto now = clock::now();
  pump(now);
  if (!waits) take_a_turn(l, now, calls);
  return n;
}

std::size_t engine::accept_chunks(guard& l, const std::shared_ptr<detail::batch>& call,
                                  const detail::entry_point& entry, detail::source& input,
                                  const detail::call_options& options) {
  l.lock();
  send_bundle();
  const call_id id = open_call(call, entry, options);
  l.unlock();
  const std::size_t n = encode_all(id, call, input, options);
  l.lock();
  calls_[id].open = false;
  settle(id);
  return n;
}

}  // namespace procpool::core
