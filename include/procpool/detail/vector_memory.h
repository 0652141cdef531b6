// SPDX-License-Identifier: MIT
// What the elements of a shared_vector lie in, whatever their type: all that the compiled core
// knows of one. Used by shared_vector.h and vector_codec.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "procpool/detail/buffer.h"
#include "procpool/detail/published.h"

namespace procpool::detail {

class engine;

/// The memory of one vector; its end gives it back. Aligned to published_alignment.
class vector_memory {
 public:
  vector_memory(const vector_memory&) = delete;
  vector_memory& operator=(const vector_memory&) = delete;
  virtual ~vector_memory() = default;

  [[nodiscard]] std::byte* data() const noexcept { return data_; }
  /// The messages that can name it instead of holding the elements (writer::home); null: none.
  [[nodiscard]] const void* home() const noexcept { return home_; }
  /// What stands in such a message.
  [[nodiscard]] const published_name& name() const noexcept { return name_; }
  /// What is attached to such a message, once; this has nothing to give back any more.
  virtual std::shared_ptr<const attachment> give() = 0;
  /// It lies where tasks of that pool find it by name; else null.
  [[nodiscard]] virtual std::shared_ptr<const published> published_in(const engine&) const {
    return nullptr;
  }

 protected:
  vector_memory(std::byte* data, const void* home, const published_name& name) noexcept
      : data_(data), home_(home), name_(name) {}

 private:
  std::byte* data_;
  const void* home_;
  published_name name_;
};

/// Where a worker's vectors lie: what its replies name is not copied. From any thread of it.
class vector_store {
 public:
  /// Throws std::bad_alloc; std::logic_error in a process that a task has forked.
  virtual std::unique_ptr<vector_memory> allocate(std::size_t bytes) = 0;

 protected:
  vector_store() = default;
  ~vector_store() = default;
};

/// Where the vectors in a reply lie, as the parent sees it.
class result_blocks {
 public:
  /// The memory that a reply names: the caller's from now on. Throws serialization_error when so
  /// much cannot lie there, or what does is another vector's.
  virtual std::unique_ptr<vector_memory> take(std::uint64_t at, std::size_t bytes) = 0;

 protected:
  result_blocks() = default;
  ~result_blocks() = default;
};

/// Memory that the workers of a pool read. Throws what engine::publish throws.
std::unique_ptr<vector_memory> publish_vector(const std::shared_ptr<engine>& e, std::size_t bytes,
                                              std::uint64_t type);
/// In a worker: of its store. Throws std::logic_error outside, and what the store throws.
std::unique_ptr<vector_memory> allocate_here(std::size_t bytes);
/// The same; outside a worker private memory.
std::unique_ptr<vector_memory> allocate_anywhere(std::size_t bytes);

}  // namespace procpool::detail
