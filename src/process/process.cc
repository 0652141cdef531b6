// SPDX-License-Identifier: MIT
#include "process/process.h"

#include <algorithm>

#include "base/sys.h"

namespace procpool::process {

timeout::timeout(clock::time_point deadline) noexcept
    : endless_(deadline == clock::time_point::max()) {
  if (endless_) return;
  const auto left = std::chrono::duration_cast<std::chrono::nanoseconds>(
      std::max(deadline - clock::now(), clock::duration::zero()));
  left_.tv_sec = static_cast<time_t>(left.count() / 1'000'000'000);
  left_.tv_nsec = static_cast<long>(left.count() % 1'000'000'000);
}

bool handle::ended() const noexcept {
  pollfd p{pidfd_.get(), POLLIN, 0};
  constexpr timespec now{0, 0};
  return sys::ppoll(&p, 1, &now) == 1;
}

void handle::kill(int signal) noexcept {
  if (sys::pidfd_send_signal(pidfd_.get(), signal) == 0 || errno == ESRCH) return;
  // A filter that lets pidfd_open through and this not. The number is safe: nobody reaps what runs,
  // and between the two calls only a user who reaps processes that are not theirs.
  if (!ended()) sys::kill(pid_, signal);
}

bool handle::reap(clock::time_point deadline) noexcept {
  for (;;) {
    pollfd p{pidfd_.get(), POLLIN, 0};
    if (sys::ppoll(&p, 1, timeout(deadline).get()) == 1) break;
    if (clock::now() >= deadline) return false;
  }
  siginfo_t how;
  sys::waitid(P_PIDFD, static_cast<id_t>(pidfd_.get()), &how, WEXITED);
  return true;
}

}  // namespace procpool::process
