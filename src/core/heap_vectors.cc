// SPDX-License-Identifier: MIT
#include "core/heap_vectors.h"

#include <new>
#include <utility>

#include "procpool/error.h"

namespace procpool::core {
namespace {

constexpr std::align_val_t alignment{detail::published_alignment};

struct heap_bytes final : detail::attachment {
  explicit heap_bytes(std::size_t n)
      : data(static_cast<std::byte*>(::operator new(n, alignment))), size(n) {}
  ~heap_bytes() override { ::operator delete(data, alignment); }

  std::byte* const data;
  const std::size_t size;
};

class heap_block final : public detail::vector_memory {
 public:
  heap_block(std::shared_ptr<const heap_bytes> bytes, const void* home) noexcept
      : vector_memory(bytes->data, home, {0, reinterpret_cast<std::uintptr_t>(bytes->data)}),
        bytes_(std::move(bytes)) {}
  std::shared_ptr<const detail::attachment> give() override { return std::move(bytes_); }

 private:
  std::shared_ptr<const heap_bytes> bytes_;
};

}  // namespace

std::unique_ptr<detail::vector_memory> heap_vector(std::size_t bytes, const void* home) {
  return std::make_unique<heap_block>(std::make_shared<const heap_bytes>(bytes), home);
}

bool given_vectors::keep(const std::shared_ptr<const detail::attachment>& given) {
  const auto* bytes = dynamic_cast<const heap_bytes*>(given.get());
  if (bytes == nullptr) return false;
  given_.emplace(reinterpret_cast<std::uintptr_t>(bytes->data), given);
  return true;
}

std::unique_ptr<detail::vector_memory> given_vectors::take(std::uint64_t at, std::size_t bytes) {
  const auto found = given_.find(at);
  auto there =
      found == given_.end() ? nullptr : std::static_pointer_cast<const heap_bytes>(found->second);
  if (there == nullptr || bytes > there->size)
    throw serialization_error("procpool: a reply has no such vector");
  given_.erase(found);
  return std::make_unique<heap_block>(std::move(there), nullptr);
}

}  // namespace procpool::core
