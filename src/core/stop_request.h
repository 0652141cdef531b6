// SPDX-License-Identifier: MIT
// What asks an item to stop, in the worker: a word that the parent writes, and a stop source for
// those who want to be told. Behind this_worker::stop_token.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <stop_token>

#include "core/call_count.h"

namespace procpool::core {

class stop_request {
 public:
  /// `asked`: odd while what runs is asked to stop; null: nobody ever asks.
  stop_request(const call_count& items, std::atomic<std::uint32_t>* asked) noexcept
      : items_(items), asked_(asked) {}
  stop_request(const stop_request&) = delete;
  stop_request& operator=(const stop_request&) = delete;

  [[nodiscard]] bool requested() const noexcept {
    return asked_ != nullptr && asked_->load(std::memory_order_acquire) % 2 != 0;
  }
  /// The token of the item that runs. From any thread. The first call starts the thread that hears,
  /// which lives as long as the process; throws std::system_error.
  std::stop_token token();

 private:
  void hear() noexcept;

  const call_count& items_;
  std::atomic<std::uint32_t>* asked_;
  std::mutex mutex_;
  // Guarded by mutex_:
  std::stop_source source_;
  std::uint64_t item_ = 0;  // whose source that is, counted as this_worker::task_count()
  bool heard_ = false;
};

}  // namespace procpool::core
