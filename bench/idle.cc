// SPDX-License-Identifier: MIT
// A pool that has nothing to do: CPU time, wake-ups, threads, and the memory of its processes.
#include <benchmark/benchmark.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "memory.h"
#include "procpool/procpool.h"
#include "raw.h"
#include "table.h"

namespace {

using namespace std::chrono_literals;
namespace fs = std::filesystem;
using procpool::start_method;
constexpr int workers = 8;

int doze(int x) {
  std::this_thread::sleep_for(1ms);
  return x;
}

/// Every worker has run something.
void use(procpool::pool& pool) { pool.map({.chunksize = 1}, doze, std::vector<int>(64, 1)); }

double cpu_seconds(pid_t pid) {
  clockid_t id{};
  timespec t{};
  if (clock_getcpuclockid(pid, &id) != 0 || clock_gettime(id, &t) != 0) return 0;
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

/// How often a thread gave its CPU up, or lost it: each wake-up comes to one of these.
std::uint64_t switches(const fs::path& thread) {
  std::ifstream status(thread / "status");
  std::uint64_t sum = 0;
  for (std::string word; status >> word;) {
    std::uint64_t some = 0;
    if (word.ends_with("voluntary_ctxt_switches:") && status >> some) sum += some;
  }
  return sum;
}

std::vector<fs::path> threads_of(pid_t pid) {
  std::vector<fs::path> all;
  std::error_code gone;
  for (const auto& t : fs::directory_iterator("/proc/" + std::to_string(pid) + "/task", gone))
    all.push_back(t.path());
  return all;
}

/// This process and all below it.
void add_tree(pid_t pid, std::vector<pid_t>& pids) {
  pids.push_back(pid);
  for (const fs::path& thread : threads_of(pid)) {
    std::ifstream children(thread / "children");
    for (pid_t child = 0; children >> child;) add_tree(child, pids);
  }
}

/// Of all processes there are, without the thread that measures.
std::uint64_t wake_ups(const std::vector<pid_t>& pids) {
  std::uint64_t sum = 0;
  for (pid_t pid : pids)
    for (const fs::path& thread : threads_of(pid))
      if (thread.filename() != std::to_string(gettid())) sum += switches(thread);
  return sum;
}

/// Manual time: the CPU time that a second without tasks costs.
void idle(benchmark::State& state) {
  std::vector<pid_t> pids;
  add_tree(getpid(), pids);
  const auto spent = [&pids] {
    double sum = 0;
    for (pid_t pid : pids) sum += cpu_seconds(pid);
    return sum;
  };
  std::this_thread::sleep_for(20ms);  // what was spinning is asleep by now
  std::uint64_t woken = 0;
  for (auto _ : state) {
    const std::uint64_t woken_before = wake_ups(pids);
    const double before = spent();
    std::this_thread::sleep_for(1s);
    state.SetIterationTime(spent() - before);
    woken = wake_ups(pids) - woken_before;
  }
  state.counters["wake_ups"] = static_cast<double>(woken);
  state.counters["processes"] = static_cast<double>(pids.size());
  state.counters["threads_here"] = static_cast<double>(threads_of(getpid()).size());
}
void idle_pool(benchmark::State& state) {
  procpool::pool pool(workers);
  use(pool);
  idle(state);
}
void idle_without_pool(benchmark::State& state) { idle(state); }

/// Counters: the mean of all workers, the largest, and the zygote that forks them.
void idle_memory(benchmark::State& state, start_method method) {
  bench::tidy_heap();
  procpool::pool pool({.processes = workers, .start_method = method});
  use(pool);
  std::this_thread::sleep_for(20ms);
  std::vector<pid_t> pids;
  add_tree(getpid(), pids);
  pids.erase(pids.begin());
  double sum = 0;
  double most = 0;
  for (auto _ : state) {
    for (const procpool::worker_info& w : pool.workers()) {
      const auto bytes = static_cast<double>(bench::private_bytes(w.pid));
      sum += bytes;
      most = std::max(most, bytes);
      std::erase(pids, w.pid);
    }
  }
  state.counters["private"] = sum / workers;
  state.counters["most"] = most;
  for (pid_t other : pids)
    state.counters["zygote"] += static_cast<double>(bench::private_bytes(other));
}
void idle_memory_fork(benchmark::State& state) { idle_memory(state, start_method::fork); }
void idle_memory_forkserver(benchmark::State& state) {
  idle_memory(state, start_method::forkserver);
}
void idle_memory_spawn(benchmark::State& state) { idle_memory(state, start_method::spawn); }

/// By hand: a forked process that waits.
void idle_memory_child(benchmark::State& state) {
  bench::tidy_heap();
  bench::shared<bench::two_words> words;
  bench::partner child([&] {
    words->back.set(1);
    words->there.wait_for(1, 0us);
  });
  words->back.wait_for(1, 0us);
  double bytes = 0;
  for (auto _ : state) bytes = static_cast<double>(bench::private_bytes(child.pid()));
  state.counters["private"] = bytes;
}

BENCHMARK(idle_pool)->UseManualTime()->Iterations(1)->Unit(benchmark::kMicrosecond);
BENCHMARK(idle_without_pool)->UseManualTime()->Iterations(1)->Unit(benchmark::kMicrosecond);
BENCHMARK(idle_memory_fork)->Iterations(1);
BENCHMARK(idle_memory_forkserver)->Iterations(1);
BENCHMARK(idle_memory_spawn)->Iterations(1);
BENCHMARK(idle_memory_child)->Iterations(1);

using enum bench::quantity;
const bench::compare still({"CPU of an idle pool of 8, each second", time, "idle_pool",
                            "idle_without_pool", "without a pool, measuring it"});
const bench::compare forked({"memory of an idle worker; fork", private_bytes, "idle_memory_fork",
                             "idle_memory_child", "a forked process that waits"});
const bench::compare served({"the same; forkserver", private_bytes, "idle_memory_forkserver",
                             "idle_memory_child", "a forked process that waits"});
const bench::compare spawned({"the same; spawn", private_bytes, "idle_memory_spawn",
                              "idle_memory_child", "a forked process that waits"});

}  // namespace
