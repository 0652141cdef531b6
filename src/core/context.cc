// SPDX-License-Identifier: MIT
#include "core/context.h"

#include <unistd.h>

#include <utility>

namespace procpool::core {
namespace {

context* of_process = nullptr;
thread_local context* of_thread = nullptr;

}  // namespace

context::context(std::uint32_t place, const std::atomic<std::uint32_t>& withdrawn,
                 shared_values::finder find, std::shared_ptr<detail::vector_store> store,
                 std::atomic<std::uint32_t>* asked)
    : worker(place),
      pid(::getpid()),
      stop(calls, asked),
      values(withdrawn, std::move(find)),
      vectors(std::move(store)) {}

void context::keep(detail::kept_result made) noexcept {
  if (made.type == nullptr) return;
  kept_ = std::move(made);
  state_.store(&kept_, std::memory_order_release);
}

// Its destructor may still ask this_worker, and finds no state.
void context::drop_state() noexcept {
  state_.store(nullptr, std::memory_order_release);
  kept_ = {};
}

context* current_context() noexcept { return of_thread != nullptr ? of_thread : of_process; }

void enter_worker(context& c) noexcept { of_process = &c; }

context_scope::context_scope(context& c) noexcept : before_(std::exchange(of_thread, &c)) {}

context_scope::~context_scope() { of_thread = before_; }

}  // namespace procpool::core
