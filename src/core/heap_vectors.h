// SPDX-License-Identifier: MIT
// Vectors in plain memory of this process: those of an in_process pool's tasks, whose replies pass
// them on by their address; and copies in a process that is no worker.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <unordered_map>

#include "procpool/detail/vector_memory.h"

namespace procpool::core {

/// Throws std::bad_alloc.
std::unique_ptr<detail::vector_memory> heap_vector(std::size_t bytes, const void* home);

class heap_vectors final : public detail::vector_store {
 public:
  std::unique_ptr<detail::vector_memory> allocate(std::size_t bytes) override {
    return heap_vector(bytes, this);
  }
};

/// Those that go with one reply, until somebody takes them.
class given_vectors final : public detail::result_blocks {
 public:
  /// What heap_vector's memory gives; false: that is something else.
  bool keep(const std::shared_ptr<const detail::attachment>& given);
  std::unique_ptr<detail::vector_memory> take(std::uint64_t at, std::size_t bytes) override;

 private:
  std::unordered_map<std::uint64_t, std::shared_ptr<const detail::attachment>> given_;  // by place
};

/// A reply in memory of this process.
class local_reply final : public detail::heap_writer {
 public:
  /// `home`: the heap_vectors whose vectors go with it; null: none do.
  explicit local_reply(const void* home) noexcept { home_ = home; }
  std::size_t attach(std::shared_ptr<const detail::attachment> what) override {
    if (vectors_ == nullptr) vectors_ = std::make_unique<given_vectors>();
    return vectors_->keep(what) ? 0 : writer::attach(std::move(what));
  }
  /// Null: there are none.
  std::unique_ptr<given_vectors> take_vectors() noexcept { return std::move(vectors_); }

 private:
  std::unique_ptr<given_vectors> vectors_;
};

}  // namespace procpool::core
