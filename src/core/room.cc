// SPDX-License-Identifier: MIT
// Room for what is pending, by count and by bytes: the engine's part that has submitters wait.
//
// Who finds no room stands in line, and waits as one does for a result: whoever waits drives. When
// the parcel of the first in line fits, its room is counted as taken before its submitter wakes, so
// nobody who comes later can have it, and nobody else is woken for it.
#include <algorithm>
#include <utility>

#include "core/engine.h"
#include "procpool/error.h"

namespace procpool::core {

// What is larger than the bound fits when nothing else is pending: it never could otherwise.
bool engine::fits(std::size_t items, std::size_t bytes) const noexcept {
  const auto within = [](std::size_t taken, std::size_t more, std::size_t bound) {
    return bound == 0 || taken == 0 || (taken <= bound && more <= bound - taken);
  };
  return within(pending_items_, items, options_.max_pending) &&
         within(pending_bytes_, bytes, options_.max_pending_bytes);
}

void engine::await_room(guard& l, line_place& p, const encoded& e, std::optional<call_id> id,
                        const detail::call_options& options) {
  const auto ended = [&] { return id && calls_[*id].end != call_end::none; };
  const std::size_t bytes = e.bytes.bytes().size();
  if ((line_.empty() && fits(e.items, bytes)) || ended()) return;
  if (!id && state_ != state::running) refuse();
  // On its own thread, or under a task that this thread runs, nothing would make room meanwhile.
  const auto self = std::this_thread::get_id();
  if (self == background_id_ || self == driver_ ||
      (options.limits != nullptr && options.limits->when_full == when_full::fail))
    throw pool_full();
  line_.push_back(&p);
  p.call_ = id;
  p.items_ = e.items;
  p.bytes_ = bytes;
  // An open call's deadline ends it as a whole, and this with it.
  const bool told = wait_locked(l, p, id ? never : options.until);
  if (state_ == state::terminated) throw pool_terminated();
  if (state_ == state::broken) refuse();
  if (!told)
    throw task_timeout(task_timeout::kind_type::deadline, options.limits->deadline, options.place,
                       0);
}

void engine::let_in() noexcept {
  while (!line_.empty() && fits(line_.front()->items_, line_.front()->bytes_)) {
    line_place& p = *line_.front();
    line_.pop_front();
    p.kept_ = true;
    pending_items_ += p.items_;
    pending_bytes_ += p.bytes_;
    make_ready(p);
  }
}

void engine::dismiss(const std::function<bool(const line_place&)>& which) {
  std::erase_if(line_, [&](line_place* p) {
    if (!which(*p)) return false;
    make_ready(*p);
    return true;
  });
}

engine::line_place::~line_place() {
  if (items_ == 0) return;
  if (!held_.owns_lock()) held_.lock();
  if (kept_) {
    owner_.pending_items_ -= items_;
    owner_.pending_bytes_ -= bytes_;
  } else {
    std::erase(owner_.line_, this);
  }
  owner_.let_in();
}

}  // namespace procpool::core
