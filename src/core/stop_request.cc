// SPDX-License-Identifier: MIT
#include "core/stop_request.h"

#include <csignal>
#include <thread>

#include "base/futex.h"
#include "base/step.h"
#include "base/sys.h"

namespace procpool::core {

std::stop_token stop_request::token() {
  std::lock_guard hold(mutex_);
  if (const std::uint64_t now = items_.now(); item_ != now) {
    item_ = now;
    source_ = std::stop_source();
    if (requested()) source_.request_stop();  // before anybody heard; nobody listens yet
  }
  if (asked_ != nullptr && !heard_) {
    // Signals are for the thread that runs the tasks.
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    sys::thread_sigmask(SIG_SETMASK, &all, &before);
    try {
      std::thread([this] { hear(); }).detach();
      heard_ = true;
    } catch (...) {
      sys::thread_sigmask(SIG_SETMASK, &before, nullptr);
      throw;
    }
    sys::thread_sigmask(SIG_SETMASK, &before, nullptr);
  }
  return source_.get_token();
}

// The parent makes the word even before it lets the next item begin. So an odd word that is seen
// while the source is that of the item at hand means that item, and no later one.
void stop_request::hear() noexcept {
  for (;;) {
    const std::uint32_t seen = asked_->load(std::memory_order_acquire);
    std::stop_source told(std::nostopstate);
    {
      std::lock_guard hold(mutex_);
      if (requested() && item_ == items_.now()) told = source_;
    }
    // Without the lock: callbacks may ask for the token.
    if (told.stop_possible()) {
      PROCPOOL_STEP("worker: about to ask what runs to stop");
      told.request_stop();
    }
    base::futex::wait(*asked_, seen);
  }
}

}  // namespace procpool::core
