// SPDX-License-Identifier: MIT
#include "core/ledger.h"

#include <algorithm>

namespace procpool::core {

void ledger::up(worker_id worker, clock::time_point now) {
  ++started_;
  service_[worker] = {now, 0, {}};
}

void ledger::answered(worker_id worker, std::size_t items, std::uint64_t took,
                      clock::time_point now) {
  service& s = service_[worker];
  s.answered += items;
  const std::chrono::nanoseconds left = now - s.began - s.busy;
  s.busy += std::chrono::nanoseconds(static_cast<std::int64_t>(
      std::min(took, static_cast<std::uint64_t>(std::max<std::int64_t>(left.count(), 0)))));
}

void ledger::end(worker_id worker) noexcept {
  busy_ += service_[worker].busy;
  service_[worker] = {};
}

void ledger::died(worker_id worker) noexcept {
  ++died_;
  end(worker);
}

void ledger::left(worker_id worker, bool recycled) noexcept {
  if (recycled) ++recycled_;
  end(worker);
}

pool_stats ledger::stats(std::size_t held) const {
  pool_stats s;
  s.submitted = submitted_;
  s.done = done_;
  s.failed = failed_;
  s.running = held + arriving_;
  s.queued = submitted_ - done_ - failed_ - s.running;
  s.retried = retried_;
  s.started = started_;
  s.died = died_;
  s.recycled = recycled_;
  s.busy = busy_;
  for (const service& each : service_) s.busy += each.busy;
  return s;
}

}  // namespace procpool::core
