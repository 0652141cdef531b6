// SPDX-License-Identifier: MIT
// Memory for vectors: where a pool's workers read it, where a worker's replies name it, and where
// there is neither.
#include <stdexcept>
#include <utility>

#include "core/context.h"
#include "core/heap_vectors.h"
#include "procpool/detail/engine.h"
#include "procpool/detail/vector_memory.h"

namespace procpool::detail {
namespace {

// Whoever has the vector has the engine, whose memory it lies in; a message has the value alone,
// for it is the engine's.
class published_vector final : public vector_memory {
 public:
  published_vector(std::shared_ptr<engine> e, std::shared_ptr<const published> value,
                   std::byte* data) noexcept
      : vector_memory(data, value->home(), value->name()),
        engine_(std::move(e)),
        value_(std::move(value)) {}
  std::shared_ptr<const attachment> give() override { return std::move(value_); }
  [[nodiscard]] std::shared_ptr<const published> published_in(const engine& e) const override {
    return &e == engine_.get() ? value_ : nullptr;
  }

 private:
  std::shared_ptr<engine> engine_;  // goes last
  std::shared_ptr<const published> value_;
};

}  // namespace

std::unique_ptr<vector_memory> publish_vector(const std::shared_ptr<engine>& e, std::size_t bytes,
                                              std::uint64_t type) {
  // In one piece, so that it stays where it is; and not touched, so that only what the user writes
  // becomes memory.
  std::byte* data = nullptr;
  auto value = e->publish([&](writer& out) { data = out.extend(bytes); }, type);
  return std::make_unique<published_vector>(e, std::move(value), data);
}

std::unique_ptr<vector_memory> allocate_here(std::size_t bytes) {
  core::context* here = core::current_context();
  if (here == nullptr)
    throw std::logic_error(
        "procpool: this_worker::allocate(): this is no worker; pool.allocate() is for the process "
        "that has the pool");
  return here->vectors->allocate(bytes);
}

std::unique_ptr<vector_memory> allocate_anywhere(std::size_t bytes) {
  core::context* here = core::current_context();
  return here != nullptr ? here->vectors->allocate(bytes) : core::heap_vector(bytes, nullptr);
}

}  // namespace procpool::detail
