// SPDX-License-Identifier: MIT
// The vectors of one worker's place that the parent holds: their blocks stay where they are,
// whatever becomes of the worker, of the ones after it, and of the pool.
//
// The parent decides by what it notes here alone. What it writes into a block's head is for the
// worker, which may spoil it, and then harms itself. From any thread; in a forked copy of the
// process nothing is touched.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>

#include "base/process_mark.h"
#include "procpool/detail/vector_memory.h"
#include "shm/layout.h"
#include "shm/segment.h"

namespace procpool::shm {

class held_blocks final : public detail::result_blocks,
                          public std::enable_shared_from_this<held_blocks> {
 public:
  /// `memory`: that of the window, which it keeps mapped; or null.
  held_blocks(std::shared_ptr<const segment> memory, std::shared_ptr<const base::process_mark> mark,
              window& own, std::size_t results_size) noexcept;

  std::unique_ptr<detail::vector_memory> take(std::uint64_t at, std::size_t bytes) override;

  /// Before an answer is read that lies among the results. The worker may have written it where a
  /// vector was that another thread has dropped: all that thread did to it is over then. That is so
  /// without this call, too, but by way of the worker, where tools of this process see nothing.
  void await_drops() const noexcept { std::lock_guard hold(mutex_); }

  /// A worker is about to be started here: tells it what is held.
  void starting() noexcept;
  /// It is gone, and its answers have been read: all beyond the first `warm` bytes of the results
  /// that is not held goes back to the system.
  void ended(std::size_t warm) noexcept;
  [[nodiscard]] bool empty() const noexcept;

 private:
  class held_vector;
  /// The vector is no more.
  void drop(std::uint64_t at) noexcept;
  [[nodiscard]] vector_head& head_of(std::uint64_t at) const noexcept {
    return *reinterpret_cast<vector_head*>(results_ + at);
  }

  const std::shared_ptr<const segment> memory_;
  const std::shared_ptr<const base::process_mark> mark_;
  window& window_;
  std::byte* const results_;
  const std::uint64_t place_;  // of the results, in memory_
  const std::uint64_t size_;   // of what a worker's arena gives out
  mutable std::mutex mutex_;
  std::map<std::uint64_t, std::uint64_t> held_;  // place and size; guarded by mutex_
  bool worker_ = false;                          // one looks at the heads; guarded by mutex_
  std::uint64_t freed_ = 0;  // since a worker was last woken for it; guarded by mutex_
};

}  // namespace procpool::shm
