// SPDX-License-Identifier: MIT
#include "shm/arena.h"

#include <sys/mman.h>

#include <bit>
#include <new>
#include <utility>

#include "base/sys.h"

namespace procpool::shm {

unsigned arena::order_of(std::size_t size) noexcept {
  auto order = static_cast<unsigned>(std::bit_width(size == 0 ? 0 : size - 1));
  return order < least_order ? least_order : order;
}

arena::arena(std::byte* base, std::size_t size)
    : base_(base), top_(static_cast<unsigned>(std::bit_width(size)) - 1) {
  warm_.resize(top_ + 1);
  cold_.resize(top_ + 1);
  cold_[top_].insert(0);
}

std::byte* arena::allocate(std::size_t size) {
  unsigned order = order_of(size);
  if (order > top_) throw std::bad_alloc();
  std::uint64_t at = 0;
  if (auto& warm = warm_[order]; !warm.empty()) {
    at = warm.back();
    warm.pop_back();
    warm_bytes_ -= std::size_t{1} << order;
  } else if (!split_from_cold(order, at)) {
    cool_down();
    if (!split_from_cold(order, at)) throw std::bad_alloc();
  }
  in_use_ += std::size_t{1} << order;
  return base_ + at;
}

bool arena::split_from_cold(unsigned order, std::uint64_t& at) {
  unsigned from = order;
  while (from <= top_ && cold_[from].empty()) ++from;
  if (from > top_) return false;
  at = *cold_[from].begin();
  // What is left over is noted first: without memory for that, nothing is taken.
  unsigned noted = order;
  try {
    for (; noted < from; ++noted) cold_[noted].insert(at + (std::uint64_t{1} << noted));
  } catch (...) {
    while (noted-- > order) cold_[noted].erase(at + (std::uint64_t{1} << noted));
    throw;
  }
  cold_[from].erase(cold_[from].begin());
  return true;
}

bool arena::reserve(std::byte* block, std::size_t size) {
  const unsigned order = order_of(size);
  const auto at = static_cast<std::uint64_t>(block - base_);
  if (order > top_ || at % (std::uint64_t{1} << order) != 0) return false;
  const auto around = [at](unsigned o) { return at & ~((std::uint64_t{1} << o) - 1); };
  cool_down();
  unsigned from = order;
  while (from <= top_ && !cold_[from].contains(around(from))) ++from;
  if (from > top_) return false;
  // The halves that are left over on the way down; noted first, as above.
  unsigned noted = order;
  try {
    for (; noted < from; ++noted) cold_[noted].insert(around(noted) ^ (std::uint64_t{1} << noted));
  } catch (...) {
    while (noted-- > order) cold_[noted].erase(around(noted) ^ (std::uint64_t{1} << noted));
    throw;
  }
  cold_[from].erase(around(from));
  in_use_ += std::size_t{1} << order;
  return true;
}

void arena::free(std::byte* block, std::size_t size) noexcept {
  unsigned order = order_of(size);
  std::size_t bytes = std::size_t{1} << order;
  auto at = static_cast<std::uint64_t>(block - base_);
  in_use_ -= bytes;
  if (warm_bytes_ + bytes <= most_warm) {
    try {
      warm_[order].push_back(at);
      warm_bytes_ += bytes;
      return;
    } catch (const std::bad_alloc&) {  // then its memory is wanted elsewhere
    }
  }
  // Pages that were never touched cost nothing to give back.
  sys::madvise(block, bytes, MADV_REMOVE);
  give_back(at, order);
}

void arena::give_back(std::uint64_t at, unsigned order) noexcept {
  std::set<std::uint64_t>::node_type note;  // a buddy's, which serves for both
  for (; order < top_; ++order) {
    std::uint64_t buddy = at ^ (std::uint64_t{1} << order);
    auto found = cold_[order].find(buddy);
    if (found == cold_[order].end()) break;
    note = cold_[order].extract(found);
    at = at < buddy ? at : buddy;
  }
  if (!note.empty()) {
    note.value() = at;
    cold_[order].insert(std::move(note));
    return;
  }
  try {
    cold_[order].insert(at);
  } catch (const std::bad_alloc&) {  // nobody is given these addresses again
  }
}

void arena::cool_down() noexcept {
  for (unsigned order = 0; order <= top_; ++order) {
    for (std::uint64_t at : warm_[order]) {
      sys::madvise(base_ + at, std::size_t{1} << order, MADV_REMOVE);
      give_back(at, order);
    }
    warm_[order].clear();
  }
  warm_bytes_ = 0;
}

}  // namespace procpool::shm
