// SPDX-License-Identifier: MIT
// The out-of-line members of procpool/error.h: what a wait status means, put into words.
#include "procpool/error.h"

#include <string.h>  // sigabbrev_np
#include <sys/wait.h>

#include <string>

namespace procpool {
namespace {

std::string ending(int status) {
  if (!WIFSIGNALED(status)) return "exited with code " + std::to_string(WEXITSTATUS(status));
  const int number = WTERMSIG(status);
  std::string text = "was killed by signal " + std::to_string(number);
  // Null for a real-time signal, which has no name of its own.
  if (const char* name = sigabbrev_np(number)) text.append(" (SIG").append(name).append(")");
  return text;
}

}  // namespace

worker_died::worker_died(pid_t pid, int status, std::size_t index)
    : error("procpool: worker " + std::to_string(pid) + " " + ending(status) +
            " while running item " + std::to_string(index)),
      pid_(pid),
      status_(status),
      index_(index) {}

int worker_died::exit_code() const noexcept {
  return WIFSIGNALED(status_) ? -1 : WEXITSTATUS(status_);
}

int worker_died::signal() const noexcept { return WIFSIGNALED(status_) ? WTERMSIG(status_) : 0; }

worker_died::cause_type worker_died::cause() const noexcept {
  return WIFSIGNALED(status_) ? cause_type::signalled : cause_type::exited;
}

remote_info::~remote_info() = default;

}  // namespace procpool
