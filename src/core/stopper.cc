// SPDX-License-Identifier: MIT
#include "core/stopper.h"

#include <algorithm>

namespace procpool::core {

void stopper::begin(worker_id worker, const order& what, clock::time_point now) {
  entry e{.what = what, .next = step::kill, .at = now};
  if (!what.running)
    e.at = now + patience;
  else if (what.steps.token_grace.count() > 0)
    e.next = step::token;
  else if (what.steps.signal != 0)
    e.next = step::signal;
  entries_[worker] = e;
  note_deadline();
}

void stopper::end(worker_id worker) noexcept {
  entries_[worker].reset();
  note_deadline();
}

bool stopper::item_ended(worker_id worker) noexcept {
  entry& e = *entries_[worker];
  if (!e.signal_under_way && !e.killed) {
    end(worker);
    return true;
  }
  e.what.task = no_task;
  e.at = never;
  note_deadline();
  return false;
}

bool stopper::signal_was_sent(worker_id worker) noexcept {
  if (!entries_[worker]) return false;
  entry& e = *entries_[worker];
  e.signal_under_way = false;
  if (e.what.task != no_task || e.killed) return false;
  end(worker);
  return true;
}

void stopper::clear() noexcept {
  for (auto& e : entries_) e.reset();
  deadline_ = never;
}

std::optional<stopper::due> stopper::next(clock::time_point now) {
  if (now < deadline_) return std::nullopt;
  for (worker_id w = 0; w < entries_.size(); ++w) {
    if (!entries_[w] || now < entries_[w]->at) continue;
    entry& e = *entries_[w];
    const stop_steps& steps = e.what.steps;
    const due d{w, e.next, steps.signal};
    switch (e.next) {
      case step::token:
        e.next = steps.signal != 0 ? step::signal : step::kill;
        e.at = now + steps.token_grace;
        break;
      case step::signal:
        e.next = step::kill;
        e.at = now + steps.signal_grace;
        e.signal_under_way = true;
        break;
      case step::kill:
        e.at = never;
        e.killed = true;
        break;
    }
    note_deadline();
    return d;
  }
  return std::nullopt;
}

void stopper::later(worker_id worker, step what, clock::time_point when) noexcept {
  entry& e = *entries_[worker];
  e.next = what;
  e.at = when;
  if (what == step::signal) e.signal_under_way = false;
  if (what == step::kill) e.killed = false;
  note_deadline();
}

void stopper::note_deadline() noexcept {
  deadline_ = never;
  for (const auto& e : entries_)
    if (e) deadline_ = std::min(deadline_, e->at);
}

}  // namespace procpool::core
