// SPDX-License-Identifier: MIT
#include "shm/held_blocks.h"

#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <iterator>
#include <new>
#include <utility>

#include "base/futex.h"
#include "base/sys.h"
#include "procpool/error.h"
#include "shm/arena.h"

namespace procpool::shm {
namespace {

/// A worker that sleeps is woken to free so much; it can wait for less.
constexpr std::uint64_t worth_waking = std::uint64_t{64} << 20;

void set(vector_head& head, vector_state s) noexcept {
  head.state.store(static_cast<std::uint32_t>(s), std::memory_order_release);
}

}  // namespace

class held_blocks::held_vector final : public detail::vector_memory {
 public:
  held_vector(std::shared_ptr<held_blocks> owner, std::byte* data, std::uint64_t at) noexcept
      : vector_memory(data, nullptr, {}), owner_(std::move(owner)), at_(at) {}
  ~held_vector() override { owner_->drop(at_); }
  // No message names it: other workers do not see this memory.
  std::shared_ptr<const detail::attachment> give() override { return nullptr; }

 private:
  std::shared_ptr<held_blocks> owner_;
  std::uint64_t at_;
};

held_blocks::held_blocks(std::shared_ptr<const segment> memory,
                         std::shared_ptr<const base::process_mark> mark, window& own,
                         std::size_t results_size) noexcept
    : memory_(std::move(memory)),
      mark_(std::move(mark)),
      window_(own),
      results_(reinterpret_cast<std::byte*>(&own) + results_at),
      place_(memory_ != nullptr ? memory_->place_of(own) + results_at : 0),
      size_(std::bit_floor(results_size)) {}

std::unique_ptr<detail::vector_memory> held_blocks::take(std::uint64_t at, std::size_t bytes) {
  const auto refuse = [] {
    throw serialization_error(
        "procpool: the worker says that a shared_vector lies where none can be");
  };
  if (bytes > size_ || at >= size_) refuse();
  // As the worker's arena gives out blocks: the next worker can leave it alone.
  const std::uint64_t whole = arena::capacity(vector_head_size + bytes);
  if (at % whole != 0 || whole > size_ - at) refuse();
  {
    std::lock_guard hold(mutex_);
    const auto after = held_.lower_bound(at);
    if (after != held_.end() && after->first - at < whole) refuse();
    if (after != held_.begin()) {
      const auto before = std::prev(after);
      if (at - before->first < before->second) refuse();
    }
    held_.emplace_hint(after, at, whole);
    set(head_of(at), vector_state::taken);
  }
  try {
    return std::make_unique<held_vector>(shared_from_this(), results_ + at + vector_head_size, at);
  } catch (...) {
    drop(at);
    throw;
  }
}

void held_blocks::drop(std::uint64_t at) noexcept {
  if (!mark_->here()) return;
  std::lock_guard hold(mutex_);
  const auto found = held_.find(at);
  const std::uint64_t size = found->second;
  held_.erase(found);
  if (!worker_) {  // nobody else would give it back
    sys::madvise(results_ + at, size, MADV_REMOVE);
    return;
  }
  set(head_of(at), vector_state::free);
  window_.dropped.fetch_add(1, std::memory_order_release);
  if ((freed_ += size) < worth_waking) return;
  freed_ = 0;
  window_.bell.fetch_add(1, std::memory_order_release);
  base::futex::wake(window_.bell, 1);
}

// All heads are written anew: the worker before may have spoilt them.
void held_blocks::starting() noexcept {
  std::lock_guard hold(mutex_);
  std::uint64_t* next = &window_.held;
  for (const auto& [at, size] : held_) {
    *next = at + 1;
    vector_head& head = head_of(at);
    head.size = size;
    set(head, vector_state::taken);
    next = &head.next;
  }
  *next = 0;
  worker_ = true;
}

void held_blocks::ended(std::size_t warm) noexcept {
  if (!mark_->here()) return;
  std::lock_guard hold(mutex_);
  worker_ = false;
  std::uint64_t from = warm;
  const auto give_back = [&](std::uint64_t to) {
    if (from >= to) return;
    // Most workers leave nothing there, and to ask costs a tenth of punching a hole into nothing.
    if (memory_ != nullptr && !memory_->takes_memory(place_ + from, place_ + to)) return;
    sys::madvise(results_ + from, to - from, MADV_REMOVE);
  };
  for (const auto& [at, size] : held_) {
    give_back(at);
    from = std::max(from, at + size);
  }
  give_back(size_);
}

bool held_blocks::empty() const noexcept {
  std::lock_guard hold(mutex_);
  return held_.empty();
}

}  // namespace procpool::shm
