// SPDX-License-Identifier: MIT
// The engine's end: close, terminate, join; what its destruction waits for.
#include "core/engine.h"
#include "core/failure.h"
#include "procpool/error.h"

namespace procpool::core {

void engine::close() {
  check_process();
  guard l(*this);
  close_locked();
}

void engine::close_locked() {
  if (state_ != state::running) return;
  state_ = state::closed;
  dismiss([](const line_place& p) { return !p.call_; });
  maybe_retire();
}

void engine::terminate() {
  check_process();
  guard l(*this);
  if (state_ == state::terminated) return;
  bool broken_before = state_ == state::broken;
  state_ = state::terminated;
  if (!broken_before) fail_all_calls([] { return make_error<pool_terminated>(); });
  backend_->kill_all();
  wake_by(next_deadline());
}

bool engine::join(clock::time_point deadline) {
  check_process();
  {
    guard l(*this);
    if (state_ == state::running)
      throw std::logic_error("procpool: join() before close() or terminate()");
    if (backend_->gone() && reading_ == 0) make_ready(gone_);
  }
  return wait(gone_, deadline);
}

std::string engine::to_string() const {
  std::string name = "unusable here";
  if (options_.own_process()) {
    guard l(*this);
    name = state_ == state::running  ? "running"
           : state_ == state::closed ? "closed"
           : state_ == state::broken ? "broken"
                                     : "terminated";
  }
  return "<procpool::pool state=" + name + " processes=" + std::to_string(processes()) + ">";
}

void engine::shut_down(bool now) noexcept {
  if (!options_.own_process()) {
    static_cast<void>(thread_.release());  // names a thread of another process
    return;
  }
  if (now) {
    terminate();
  } else {
    guard l(*this);
    close_locked();
  }
  if (std::this_thread::get_id() == background_id_) {
    // Destroyed by a callback: the thread keeps the engine until the workers are gone.
    guard l(*this);
    orphaned_ = true;
    if (thread_) thread_->detach();
    thread_.reset();
    return;
  }
  try {
    join(never);
  } catch (...) {
    terminate();
  }
  stop_background();
}

void engine::stop_background() noexcept {
  {
    guard l(*this);
    stop_ = true;
    backend_->interrupt();
  }
  if (thread_) thread_->join();
  thread_.reset();
}

}  // namespace procpool::core
