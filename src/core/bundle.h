// SPDX-License-Identifier: MIT
// Calls of one short item each that come one right after the other, through one entry point: they
// gather, and go to a worker as the items of one task, so that what a message costs is paid once
// for all of them.
//
// To their callers they are calls like any other. Each is told as soon as its item has ended, also
// while the one behind it runs; each can be cancelled; and those that have not begun are taken from
// a worker that is at one for long.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "core/backend.h"
#include "core/burst.h"
#include "core/parcel.h"

namespace procpool::core {

/// Those that have gathered and have not been sent. Guarded by the engine's lock.
class bundle {
 public:
  static constexpr std::size_t most = burst::turn;
  /// Items that take longer, as a rule, go by themselves: to whoever is free.
  static constexpr std::chrono::microseconds shortest_alone{5};
  /// Nor is more than this given to one worker while another may have nothing to do.
  static constexpr std::chrono::microseconds longest{80};

  using calls = std::vector<std::shared_ptr<detail::batch>>;

  [[nodiscard]] bool empty() const noexcept { return calls_.empty(); }
  [[nodiscard]] bool full() const noexcept { return calls_.size() == room_; }
  [[nodiscard]] std::size_t size() const noexcept { return calls_.size(); }
  [[nodiscard]] const detail::entry_point& entry() const noexcept { return *entry_; }

  /// A call of this entry point whose parcel begins with `head` can be one of them. `place`: of its
  /// item in its user's input; all of them have the same, or each the one after.
  [[nodiscard]] bool takes(const detail::entry_point& entry, std::span<const std::byte> head,
                           std::size_t place) const noexcept {
    const std::size_t step = calls_.size() == 1 ? place - place_ : step_;
    return entry_ == &entry && step <= 1 && place == place_ + step * calls_.size() &&
           head_ == head.size() && std::memcmp(out_->data(), head.data(), head_) == 0;
  }
  /// Of an empty one, whose items take `each`, as a rule. Throws std::bad_alloc; it is empty then.
  void begin(backend& owner, const detail::entry_point& entry, std::span<const std::byte> head,
             std::size_t place, std::chrono::nanoseconds each) {
    calls_.reserve(most);
    parcel_ = std::make_unique<parcel>(owner);
    out_.emplace(*parcel_);
    out_->raw(head.data(), head.size());
    entry_ = &entry;
    head_ = head.size();
    room_ = std::min(most, static_cast<std::size_t>(longest / each));
    place_ = place;
    step_ = 0;
  }
  /// Throws std::bad_alloc, and nothing was added.
  void add(const std::shared_ptr<detail::batch>& call, std::span<const std::byte> item,
           std::size_t place) {
    out_->raw(item.data(), item.size());
    if (calls_.size() == 1) step_ = place - place_;
    calls_.push_back(call);
  }
  [[nodiscard]] std::size_t place() const noexcept { return place_; }
  [[nodiscard]] bool at_one_place() const noexcept { return step_ == 0; }
  /// Its parcel; then its calls. It is empty when both have been taken.
  [[nodiscard]] std::unique_ptr<parcel> take_parcel() noexcept {
    out_->finish();
    return std::move(parcel_);
  }
  [[nodiscard]] calls take_calls() noexcept { return std::exchange(calls_, {}); }

 private:
  const detail::entry_point* entry_ = nullptr;
  std::size_t head_ = 0;
  std::size_t room_ = 0;
  std::size_t place_ = 0;
  std::size_t step_ = 0;
  calls calls_;
  std::unique_ptr<parcel> parcel_;
  std::optional<parcel_writer> out_;
};

}  // namespace procpool::core
