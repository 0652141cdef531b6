// SPDX-License-Identifier: MIT
#include "core/publications.h"

#include <utility>

namespace procpool::core {

void publications::next_epoch() {
  if (in_now_ != 0) in_older_.emplace(now_, in_now_);
  in_now_ = 0;
  ++now_;
}

void publications::keep(value v) {
  next_epoch();
  const std::uint64_t id = v->name().id;
  live_.insert_or_assign(id, kept{std::move(v), now_, now_});
}

bool publications::withdraw(const detail::published_name& name) {
  const auto found = live_.find(name.id);
  if (found == live_.end() || found->second.v->name() != name) return false;
  withdrawn_.reserve(withdrawn_.size() + 1);
  found->second.until = now_;
  next_epoch();
  if (in_use(found->second)) withdrawn_.push_back(std::move(found->second));
  live_.erase(found);
  return true;
}

bool publications::in_use(const kept& k) const noexcept {
  const auto first = in_older_.lower_bound(k.since);
  return first != in_older_.end() && first->first <= k.until;
}

void publications::left_before(std::uint64_t epoch) noexcept {
  const auto found = in_older_.find(epoch);
  if (--found->second != 0) return;
  in_older_.erase(found);
  std::erase_if(withdrawn_, [this](const kept& k) { return !in_use(k); });
}

}  // namespace procpool::core
