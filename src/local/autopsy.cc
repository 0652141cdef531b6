// SPDX-License-Identifier: MIT
#include "local/autopsy.h"

#include <sys/wait.h>

#include <csignal>
#include <utility>
#include <vector>

namespace procpool::local {
namespace {

using cause_type = worker_died::cause_type;

bool tells_address(const shm::crash_report& r) {
  switch (r.signal) {
    case SIGSEGV:
    case SIGBUS:
    case SIGFPE:
    case SIGILL:
    case SIGTRAP:
      // SI_KERNEL: a general protection fault, for instance, whose address the processor keeps.
      return r.code > 0 && r.code != SI_KERNEL;
    default:
      return false;
  }
}

}  // namespace

std::shared_ptr<const worker_died::details> examine(int pid, int status,
                                                    const resource_usage& usage,
                                                    const shm::crash& last,
                                                    const shm::stderr_ring& printed,
                                                    base::oom_watch& memory) {
  auto known = std::make_shared<worker_died::details>();
  known->usage = usage;
  known->stderr_tail = shm::read(printed);
  if (!WIFSIGNALED(status)) return known;
  if (WTERMSIG(status) == SIGKILL && memory.claim()) known->cause = cause_type::out_of_memory;

  shm::crash_report r = shm::read(last);
  known->exception = {std::move(r.type), std::move(r.text)};
  std::vector<detail::place> places;
  for (const base::token& t : r.stack) places.push_back({t.module, t.offset});
  known->stack = stacktrace(std::move(places));
  // What it says of the signal must be of that signal.
  if (r.signal != WTERMSIG(status)) return known;
  if (tells_address(r)) known->fault_address = static_cast<std::uintptr_t>(r.address);
  known->cause = r.code <= 0 && r.sender != pid ? cause_type::killed : cause_type::signalled;
  return known;
}

}  // namespace procpool::local
