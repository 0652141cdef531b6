// SPDX-License-Identifier: MIT
// How many workers there are, and how old they get: resize(), idle_timeout, max_worker_age. The
// engine's part that tells workers to leave.
//
// A worker that is told to leave is sent nothing more, and what it has not begun runs elsewhere; it
// leaves when the items it has claimed have ended. So nothing is lost, stopped or run twice.
#include <algorithm>
#include <string>

#include "core/engine.h"

namespace procpool::core {

void engine::resize(int processes) {
  check_process();
  if (processes < 0 || processes > most_processes)
    throw std::invalid_argument("procpool: resize(" + std::to_string(processes) +
                                "): it must be 0 (all CPUs) to " + std::to_string(most_processes));
  const auto many =
      static_cast<std::uint32_t>(processes != 0 ? processes : detail::default_processes());
  guard l(*this);
  if (state_ != state::running) refuse();
  if (!options_.caller_runs) {
    // The backend's come last: no worker may come up in a place that these do not know.
    const std::uint32_t places = std::max(many, backend_->workers());
    graves_.resize(places);
    look_at_.resize(places, never);
    stops_.grow(places);
    scheduler_.grow(places);
    ledger_.grow(places);
    backend_->grow(places);
  }
  most_ = target_ = many;
  backend_->keep(target_);
  const auto now = clock::now();
  size_due_ = clock::time_point::min();
  keep_size(now);
  pump(now);
}

void engine::size_to_work() {
  if (target_ >= most_ || scheduler_.items() <= target_ || retiring_) return;
  target_ = static_cast<std::uint32_t>(std::min<std::size_t>(most_, scheduler_.items()));
  backend_->keep(target_);
}

void engine::keep_size(clock::time_point now) {
  if (now < size_due_) return;
  size_due_ = never;
  if (!at_work() || retiring_) return;
  while (const auto spare = one_to_spare()) retire(*spare);
  if (options_.max_worker_age.count() != 0) let_the_old_leave(now);
  if (options_.idle_timeout.count() != 0) let_the_idle_leave(now);
}

/// Nothing: there are not too many. Else who has been idle for longest, or the last of the busy.
std::optional<worker_id> engine::one_to_spare() const {
  std::optional<worker_id> spare;
  bool idle = false;
  std::uint32_t serving = 0;
  for (worker_id w = 0; w < graves_.size(); ++w) {
    if (!scheduler_.serves(w)) continue;
    ++serving;
    const bool is_idle = scheduler_.is_free(w);
    if (idle && (!is_idle || scheduler_.busy_since(w) >= scheduler_.busy_since(*spare))) continue;
    spare = w;
    idle = is_idle;
  }
  return serving > target_ ? spare : std::nullopt;
}

// One after the other: while one is being replaced, which takes as long as its last item and the
// initializer do, the next one works on. But an item as long as a worker's life keeps nobody.
void engine::let_the_old_leave(clock::time_point now) {
  for (;;) {
    std::uint32_t present = 0;
    std::optional<worker_id> oldest;
    for (worker_id w = 0; w < graves_.size(); ++w) {
      const bool serves = scheduler_.serves(w);
      if (serves) {
        ++present;
        if (!oldest || ledger_.of(w).began < ledger_.of(*oldest).began) oldest = w;
      } else if (!scheduler_.is_free(w)) {
        const auto long_since = scheduler_.busy_since(w) + options_.max_worker_age;
        if (now >= long_since)
          ++present;
        else
          size_due_ = std::min(size_due_, long_since);
      }
    }
    if (!oldest || present < target_) return;  // the next worker that is up has it looked at again
    const auto due = ledger_.of(*oldest).began + options_.max_worker_age;
    if (now < due) {
      size_due_ = std::min(size_due_, due);
      return;
    }
    retire(*oldest);
  }
}

void engine::let_the_idle_leave(clock::time_point now) {
  const std::uint32_t least = std::min<std::uint32_t>(options_.min_processes, most_);
  for (worker_id w = 0; w < graves_.size() && target_ > least; ++w) {
    if (!scheduler_.serves(w)) continue;
    // One that is busy now cannot have been idle for so long before that.
    const bool idle = scheduler_.holds(w) == 0;
    const auto due = (idle ? scheduler_.busy_since(w) : now) + options_.idle_timeout;
    if (due > now) {
      size_due_ = std::min(size_due_, due);
      continue;
    }
    backend_->keep(--target_);
    retire(w);
  }
}

void engine::retire(worker_id worker) {
  // Newest first: what goes back to the head of the queue keeps its order.
  const std::vector<task_id> holds = scheduler_.held_by(worker);
  for (const task_id t : std::vector<task_id>(holds.rbegin(), holds.rend())) recall(t, 0);
  scheduler_.leaving(worker);
  backend_->retire(worker);
}

}  // namespace procpool::core
