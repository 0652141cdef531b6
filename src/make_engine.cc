// SPDX-License-Identifier: MIT
// The composition root: reads the options, picks a backend, wires it; and tells a fresh execution
// what it is. The only file that names every part.
#include <charconv>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>

#include "base/cgroup.h"
#include "base/cpus.h"
#include "base/memory_watch.h"
#include "base/process_mark.h"
#include "core/engine.h"
#include "core/in_process_backend.h"
#include "local/executed.h"
#include "local/local_backend.h"
#include "process/program.h"
#include "procpool/detail/engine.h"
#include "procpool/error.h"
#include "procpool/init.h"
#include "procpool/options.h"

namespace procpool::detail {
namespace {

using core::most_processes;

/// What the environment says, if it does.
std::optional<int> processes_asked_for() {
  const char* text = std::getenv("PROCPOOL_PROCESSES");
  if (text == nullptr || *text == '\0') return std::nullopt;
  int n = 0;
  const char* end = text + std::strlen(text);
  auto [after, bad] = std::from_chars(text, end, n);
  if (bad != std::errc() || after != end || n < 1 || n > most_processes)
    throw std::invalid_argument("procpool: PROCPOOL_PROCESSES is \"" + std::string(text) +
                                "\", not a number from 1 to " + std::to_string(most_processes));
  return n;
}

void check(const pool_options& o) {
  if (o.processes < 0 || o.processes > most_processes)
    throw std::invalid_argument("procpool: pool_options.processes is " +
                                std::to_string(o.processes) + "; it must be 0 (all CPUs) to " +
                                std::to_string(most_processes));
  if (o.max_tasks_per_child < 0)
    throw std::invalid_argument("procpool: pool_options.max_tasks_per_child is " +
                                std::to_string(o.max_tasks_per_child) +
                                "; it must be 0 (no limit) or more");
  core::check(o.stop_steps);
  if (o.min_processes < 0 || o.min_processes > most_processes)
    throw std::invalid_argument("procpool: pool_options.min_processes is " +
                                std::to_string(o.min_processes) + "; it must be 0 to " +
                                std::to_string(most_processes));
  core::check_duration(o.idle_timeout, "pool_options.idle_timeout");
  core::check_duration(o.max_worker_age, "pool_options.max_worker_age");
  if (o.start_method < start_method::fork || o.start_method > start_method::in_process)
    throw std::invalid_argument("procpool: pool_options.start_method has no such value");
}

void check(const worker_limits& l) {
  const auto refuse = [](const char* field) {
    throw std::invalid_argument(std::string("procpool: pool_options.limits.") + field +
                                " leaves a worker nothing; it must be more than 0");
  };
  if (l.cpu && *l.cpu <= std::chrono::seconds(0)) refuse("cpu");
  if (l.address_space == 0U) refuse("address_space");
  if (l.data == 0U) refuse("data");
}

void check_start(start_method method) {
  if (method == start_method::in_process) return;
  if ((method == start_method::forkserver || method == start_method::spawn) &&
      !process::program_noted())
    throw std::logic_error(
        "procpool: forkserver and spawn execute this program again, which must know that it is a "
        "worker: write procpool::init(argc, argv); as the first statement of main()");
  if (process::depth() >= process::most_depth)
    throw error("procpool: pools are nested " + std::to_string(process::depth()) +
                " deep, each in a worker of the one before: no deeper");
}

}  // namespace

int default_processes() {
  const auto asked = processes_asked_for();
  return asked ? *asked : base::usable_cpus();
}

std::shared_ptr<engine> make_engine(const pool_options& options) {
  check(options);
  check(options.limits);
  check_start(options.start_method);
  const bool caller_runs = options.start_method == start_method::in_process;
  // Each worker has one of its own. Where there can be none, whoever asked for it is told now.
  if (const std::size_t most = options.max_memory_per_child; most != 0 && !caller_runs)
    static_cast<void>(base::memory_watch(most));
  const base::cgroups groups;
  const int cpus = base::usable_cpus(groups);
  const int processes =
      options.processes != 0 ? options.processes : processes_asked_for().value_or(cpus);
  auto quota = static_cast<std::uint32_t>(options.max_tasks_per_child);
  auto initializer = access::call(options.initializer);
  auto finalizer = access::call(options.finalizer);

  core::engine_options o;
  o.processes = processes;
  o.cpus = cpus;
  o.caller_runs = caller_runs;
  o.stop_steps = core::within_reason(options.stop_steps);
  o.min_processes = static_cast<std::uint32_t>(options.min_processes);
  o.max_pending = options.max_pending;
  o.max_pending_bytes = options.max_pending_bytes;
  o.on_unobserved = options.on_unobserved_error;
  if (!o.caller_runs) {  // this process is not replaced
    o.quota = quota;
    o.idle_timeout = core::within_reason(options.idle_timeout);
    o.max_worker_age = core::within_reason(options.max_worker_age);
  }
  auto mark = std::make_shared<const base::process_mark>();
  o.own_process = [mark] { return mark->here(); };
  std::unique_ptr<core::backend> backend;
  if (o.caller_runs) {
    backend = std::make_unique<core::in_process_backend>(initializer, finalizer);
  } else {
    backend = std::make_unique<local::local_backend>(
        static_cast<std::uint32_t>(processes), options.start_method,
        local::child_options{initializer, quota, finalizer, options.crash_traces,
                             options.max_memory_per_child, options.limits},
        std::move(mark), groups);
  }
  auto made = std::make_shared<core::engine>(std::move(backend), std::move(o));
  made->start();
  return made;
}

}  // namespace procpool::detail

namespace procpool {

void init(int argc, const char* const* argv) {
  if (argc < 1 || argv == nullptr || argv[0] == nullptr)
    throw std::invalid_argument(
        "procpool: init(argc, argv) wants what main() was given: a worker is told by it that it is "
        "one");
  process::note_program(argv[0]);
  if (auto a = process::read_assignment(argc, argv)) local::serve(*a);
}

}  // namespace procpool
