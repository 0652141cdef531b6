// SPDX-License-Identifier: MIT
// A worker's results: blocks for replies, and for vectors, which the parent may go on holding when
// it has read the reply that names them.
//
// Used by any thread of the worker, and by no process that it forks. What the parent holds of
// earlier workers of this place is not given out until it says that it is free.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include <sys/types.h>

#include "procpool/detail/vector_memory.h"
#include "shm/arena.h"
#include "shm/layout.h"

namespace procpool::shm {

class own_results final : public detail::vector_store,
                          public std::enable_shared_from_this<own_results> {
 public:
  /// Takes over what the window says is held. Throws std::bad_alloc.
  own_results(const window& own, std::byte* base, std::size_t size);

  // ---- for replies
  std::byte* allocate_block(std::size_t size);
  void free_block(std::byte* block, std::size_t size) noexcept;

  // ---- for vectors
  std::unique_ptr<detail::vector_memory> allocate(std::size_t bytes) override;
  /// writer::home of replies.
  [[nodiscard]] const void* home() const noexcept {
    return static_cast<const detail::vector_store*>(this);
  }
  /// What a vector of this store gave goes with the answer at hand; false: it is none's.
  bool give(const detail::attachment& what);
  /// The answer at hand has been published, as `index`. Frees some of what the parent has done
  /// with.
  void answered(std::uint32_t index) noexcept {
    if (busy_.load(std::memory_order_relaxed)) settle(index);
  }
  /// The worker is about to sleep: frees all that the parent has done with.
  void tidy() noexcept;

 private:
  struct watched {
    std::byte* block;
    std::size_t size;
    std::uint32_t index;  // the answer's that it went with
    bool released;        // the parent has done with that answer: the head tells
  };

  class own_block;
  class own_vector;

  void take_over();
  void settle(std::uint32_t index) noexcept;
  // All with mutex_ held:
  std::byte* get(std::size_t size);
  void look_at(std::size_t many) noexcept;
  [[nodiscard]] bool is_free(watched& w) const noexcept;

  const window& window_;
  std::byte* const base_;
  const std::size_t size_;
  const pid_t pid_;
  std::mutex mutex_;
  arena arena_;                    // guarded by mutex_
  std::vector<watched> watched_;   // guarded by mutex_
  std::size_t next_ = 0;           // of them to be looked at
  std::atomic<bool> busy_{false};  // there are watched ones, or fresh ones
  std::uint32_t dropped_;          // window::dropped when all were looked at
  std::vector<watched> fresh_;     // of the answer at hand; the worker's loop alone
};

}  // namespace procpool::shm
