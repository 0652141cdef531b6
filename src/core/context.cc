// SPDX-License-Identifier: MIT
#include "core/context.h"

#include <utility>

namespace procpool::core {
namespace {

context* of_process = nullptr;
thread_local context* of_thread = nullptr;

}  // namespace

context* current_context() noexcept { return of_thread != nullptr ? of_thread : of_process; }

void enter_worker(context& c) noexcept { of_process = &c; }

context_scope::context_scope(context& c) noexcept : before_(std::exchange(of_thread, &c)) {}

context_scope::~context_scope() { of_thread = before_; }

}  // namespace procpool::core
