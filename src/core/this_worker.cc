// SPDX-License-Identifier: MIT
#include "procpool/this_worker.h"

#include <stdexcept>
#include <string>

#include "core/context.h"
#include "core/readable.h"

namespace procpool {
namespace detail {

void* worker_state(const std::type_info& wanted) {
  const std::string asked = "procpool: this_worker::state<" + core::readable(wanted) + ">(): ";
  const core::context* here = core::current_context();
  if (here == nullptr) throw std::logic_error(asked + "this is no worker");
  const kept_result* kept = here->state();
  if (kept == nullptr)
    throw std::logic_error(asked +
                           "this worker has no state; it would be what the pool's initializer "
                           "returns (void does not count), once it has returned");
  if (*kept->type != wanted)
    throw std::logic_error(asked + "this worker's initializer returned a " +
                           core::readable(*kept->type));
  return kept->value.get();
}

}  // namespace detail

namespace this_worker {

bool exists() noexcept { return core::current_context() != nullptr; }

int id() noexcept {
  const core::context* here = core::current_context();
  return here == nullptr ? -1 : static_cast<int>(here->worker);
}

pid_t pid() noexcept {
  const core::context* here = core::current_context();
  return here == nullptr ? -1 : here->pid;
}

std::uint64_t task_count() noexcept {
  const core::context* here = core::current_context();
  return here == nullptr ? 0 : here->calls.now();
}

std::stop_token stop_token() {
  core::context* here = core::current_context();
  return here == nullptr ? std::stop_token() : here->stop.token();
}

bool stop_requested() noexcept {
  const core::context* here = core::current_context();
  return here != nullptr && here->stop.requested();
}

}  // namespace this_worker
}  // namespace procpool
