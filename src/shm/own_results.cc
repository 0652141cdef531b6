// SPDX-License-Identifier: MIT
#include "shm/own_results.h"

#include <unistd.h>

#include <algorithm>
#include <new>
#include <stdexcept>
#include <utility>

#include "base/step.h"
#include "shm/ring.h"

namespace procpool::shm {

// Until a vector gives it to an answer, its end frees it.
class own_results::own_block final : public detail::attachment {
 public:
  own_block(std::shared_ptr<own_results> owner, std::byte* at, std::size_t size) noexcept
      : owner_(std::move(owner)), at_(at), size_(size) {}
  ~own_block() override {
    if (at_ != nullptr) owner_->free_block(at_, size_);
  }
  [[nodiscard]] std::byte* at() const noexcept { return at_; }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  void let_go() const noexcept { at_ = nullptr; }

 private:
  std::shared_ptr<own_results> owner_;
  mutable std::byte* at_;
  std::size_t size_;
};

class own_results::own_vector final : public detail::vector_memory {
 public:
  own_vector(std::shared_ptr<const own_block> b, const own_results& owner) noexcept
      : vector_memory(b->at() + vector_head_size, owner.home(),
                      {0, static_cast<std::uint64_t>(b->at() - owner.base_)}),
        block_(std::move(b)) {}
  std::shared_ptr<const detail::attachment> give() override { return std::move(block_); }

 private:
  std::shared_ptr<const own_block> block_;
};

own_results::own_results(const window& own, std::byte* base, std::size_t size)
    : window_(own),
      base_(base),
      size_(size),
      pid_(::getpid()),
      arena_(base, size),
      dropped_(own.dropped.load(std::memory_order_relaxed)) {
  take_over();
}

// The parent has written the list. Where it makes no sense something else has written there, too,
// in this place that is lost anyway: what follows is not reserved.
void own_results::take_over() {
  std::uint64_t next = window_.held;
  for (std::size_t n = 0; next != 0 && n <= size_ / vector_alignment; ++n) {
    const std::uint64_t at = next - 1;
    if (at % vector_alignment != 0 || at >= size_) break;
    const auto* head = reinterpret_cast<const vector_head*>(base_ + at);
    const std::uint64_t size = head->size;
    next = head->next;
    if (size > size_ || !arena_.reserve(base_ + at, static_cast<std::size_t>(size))) break;
    watched_.push_back({base_ + at, static_cast<std::size_t>(size), 0, true});
    PROCPOOL_STEP("worker: vector of an earlier one left alone");
  }
  busy_.store(!watched_.empty(), std::memory_order_relaxed);
}

// ---- blocks -------------------------------------------------------------------------------------

std::byte* own_results::get(std::size_t size) {
  try {
    return arena_.allocate(size);
  } catch (const std::bad_alloc&) {
    look_at(watched_.size());
    return arena_.allocate(size);
  }
}

std::byte* own_results::allocate_block(std::size_t size) {
  std::lock_guard hold(mutex_);
  return get(size);
}

void own_results::free_block(std::byte* block, std::size_t size) noexcept {
  if (::getpid() != pid_) return;
  std::lock_guard hold(mutex_);
  arena_.free(block, size);
}

std::unique_ptr<detail::vector_memory> own_results::allocate(std::size_t bytes) {
  if (::getpid() != pid_)
    throw std::logic_error(
        "procpool: a process that a task has forked has no memory for shared_vectors");
  if (bytes > size_) throw std::bad_alloc();
  const std::size_t size = vector_head_size + bytes;
  std::byte* at = nullptr;
  {
    std::lock_guard hold(mutex_);
    look_at(4);  // more than one: what was freed is found before more is touched
    at = get(size);
  }
  PROCPOOL_STEP("worker: vector allocated");
  new (at) vector_head{};
  std::shared_ptr<const own_block> made;
  try {
    made = std::make_shared<const own_block>(shared_from_this(), at, size);
  } catch (...) {
    free_block(at, size);
    throw;
  }
  return std::make_unique<own_vector>(std::move(made), *this);
}

// ---- vectors on their way -----------------------------------------------------------------------

bool own_results::give(const detail::attachment& what) {
  const auto* given = dynamic_cast<const own_block*>(&what);
  if (given == nullptr) return false;
  {
    std::lock_guard hold(mutex_);
    const std::size_t least = watched_.size() + fresh_.size() + 1;  // for settle
    if (least > watched_.capacity()) watched_.reserve(2 * least);
  }
  fresh_.push_back({given->at(), given->size(), 0, false});
  busy_.store(true, std::memory_order_relaxed);
  given->let_go();
  PROCPOOL_STEP("worker: vector given, not answered");
  return true;
}

void own_results::settle(std::uint32_t index) noexcept {
  std::lock_guard hold(mutex_);
  look_at(32);
  for (watched& w : fresh_) {
    w.index = index;
    watched_.push_back(w);
  }
  fresh_.clear();
  busy_.store(!watched_.empty(), std::memory_order_relaxed);
}

// The parent takes a vector before it releases the answer, and frees it at any time after that.
bool own_results::is_free(watched& w) const noexcept {
  if (!w.released) {
    const auto& word = window_.replies[w.index % ring_slots].word;
    if (word.load(std::memory_order_acquire) == lap_of(w.index)) return false;
    w.released = true;
  }
  const auto& state = reinterpret_cast<const vector_head*>(w.block)->state;
  return state.load(std::memory_order_acquire) != static_cast<std::uint32_t>(vector_state::taken);
}

void own_results::look_at(std::size_t many) noexcept {
  for (many = std::min(many, watched_.size()); many != 0; --many) {
    if (next_ >= watched_.size()) next_ = 0;
    watched& w = watched_[next_];
    if (!is_free(w)) {
      ++next_;
      continue;
    }
    PROCPOOL_STEP("worker: vector given back by the parent");
    arena_.free(w.block, w.size);
    w = watched_.back();
    watched_.pop_back();
  }
}

void own_results::tidy() noexcept {
  if (!busy_.load(std::memory_order_relaxed)) return;
  const std::uint32_t dropped = window_.dropped.load(std::memory_order_acquire);
  std::lock_guard hold(mutex_);
  look_at(dropped == dropped_ ? 32 : watched_.size());
  dropped_ = dropped;
}

}  // namespace procpool::shm
