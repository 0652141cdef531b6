// SPDX-License-Identifier: MIT
#include "procpool/detail/watch.h"

#include <algorithm>
#include <utility>

#include "core/engine.h"

namespace procpool::detail {

watch::~watch() {
  for (watched& w : all_)
    if (w.result) w.engine->unwatch(w);
}

bool watch::add(std::size_t index, std::shared_ptr<engine> of, std::shared_ptr<any_result> result) {
  if (std::find(engines_.begin(), engines_.end(), of.get()) == engines_.end()) {
    engines_.push_back(of.get());
    std::lock_guard hold(mutex_);
    several_ = engines_.size() > 1;
  }
  watched& w = all_.emplace_back(watched{this, index, std::move(of), std::move(result)});
  const watch_state found = w.engine->watch(w);
  if (found == watch_state::known) {
    all_.pop_back();
    return false;
  }
  ++left_;
  if (found == watch_state::ready) came(w);
  return found == watch_state::ready;
}

completion* watch::came(watched& w) noexcept {
  std::lock_guard hold(mutex_);
  (first_ == nullptr ? first_ : last_->next_ready) = &w;
  last_ = &w;
  if (!several_) return &arrived_;
  came_.notify_one();
  return nullptr;
}

watched* watch::pop() noexcept {
  std::lock_guard hold(mutex_);
  watched* w = first_;
  if (w != nullptr)
    first_ = w->next_ready;
  else
    access::ready(arrived_).store(false, std::memory_order_relaxed);
  return w;
}

std::optional<watch::ready> watch::next(engine::clock::time_point deadline) {
  if (left_ == 0) return std::nullopt;
  watched* w = pop();
  while (w == nullptr) {
    if (!wait(deadline)) return std::nullopt;
    w = pop();
  }
  --left_;
  w->engine->unwatch(*w);
  return ready{w->index, std::move(w->result)};
}

// May come back early.
bool watch::wait(engine::clock::time_point deadline) {
  if (engines_.size() == 1) return engines_.front()->wait(arrived_, deadline);
  for (const engine* e : engines_) e->check_wait();
  std::unique_lock hold(mutex_);
  auto any = [this] { return first_ != nullptr; };
  if (deadline != engine::never) return came_.wait_until(hold, deadline, any);
  came_.wait(hold, any);
  return true;
}

}  // namespace procpool::detail

// ---- the engine's side --------------------------------------------------------------------------

namespace procpool::core {

using detail::access;

void engine::check_wait() const {
  check_process();
  not_from_callback();
}

detail::watch_state engine::watch(detail::watched& what) {
  check_process();
  guard l(*this);
  detail::completion& c = what.result->done();
  for (detail::watched* w = access::watched(c); w != nullptr; w = w->next)
    if (w->owner == what.owner) return detail::watch_state::known;
  what.next = std::exchange(access::watched(c), &what);
  return c.ready() ? detail::watch_state::ready : detail::watch_state::pending;
}

void engine::unwatch(detail::watched& what) noexcept {
  if (!options_.own_process()) return;
  guard l(*this);
  detail::watched** link = &access::watched(what.result->done());
  while (*link != nullptr && *link != &what) link = &(*link)->next;
  if (*link != nullptr) *link = what.next;
}

}  // namespace procpool::core
