// SPDX-License-Identifier: MIT
// Pools and workers that come and go; a pool that has nothing to do.
#include <benchmark/benchmark.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "procpool/procpool.h"
#include "table.h"

namespace {

using namespace std::chrono_literals;
constexpr int tasks = 100;

int increment(int x) { return x + 1; }

void pool_up_and_down(benchmark::State& state) {
  for (auto _ : state) {
    procpool::pool pool(2);
    benchmark::DoNotOptimize(pool.apply(increment, 1));
  }
}

/// What Python's own figures are of: 8 workers, and the first map through all of them.
void eight_up(procpool::start_method method, benchmark::State& state) {
  const std::vector<int> xs(64, 1);
  for (auto _ : state) {
    procpool::pool pool({.processes = 8, .start_method = method});
    benchmark::DoNotOptimize(pool.map({.chunksize = 8}, increment, xs).data());
  }
}
void eight_forked(benchmark::State& state) { eight_up(procpool::start_method::fork, state); }
void eight_from_server(benchmark::State& state) {
  eight_up(procpool::start_method::forkserver, state);
}
void eight_spawned(benchmark::State& state) { eight_up(procpool::start_method::spawn, state); }

/// This program, executed to do nothing: see main().
void execute_exit_wait(benchmark::State& state) {
  for (auto _ : state) {
    std::string name = "bench";
    std::string word = "--nothing";
    char* const argv[] = {name.data(), word.data(), nullptr};
    pid_t pid = 0;
    if (posix_spawn(&pid, "/proc/self/exe", nullptr, nullptr, argv, environ) != 0) break;
    waitpid(pid, nullptr, 0);
  }
}

void fresh_workers(benchmark::State& state) {
  procpool::pool pool({.processes = 2, .max_tasks_per_child = 1});
  const std::vector<int> xs(tasks, 1);
  for (auto _ : state) benchmark::DoNotOptimize(pool.map(increment, xs).data());
  state.SetItemsProcessed(state.iterations() * tasks);
}

void fork_exit_wait(benchmark::State& state) {
  for (auto _ : state) {
    const pid_t pid = fork();
    if (pid == 0) _exit(0);
    waitpid(pid, nullptr, 0);
  }
  state.SetItemsProcessed(state.iterations());
}

double cpu_seconds(pid_t pid) {
  clockid_t id{};
  timespec t{};
  if (clock_getcpuclockid(pid, &id) != 0 || clock_gettime(id, &t) != 0) return 0;
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

/// This process and all below it.
void add_tree(pid_t pid, std::vector<pid_t>& pids) {
  pids.push_back(pid);
  std::error_code gone;
  for (const auto& thread :
       std::filesystem::directory_iterator("/proc/" + std::to_string(pid) + "/task", gone)) {
    std::ifstream children(thread.path() / "children");
    for (pid_t child = 0; children >> child;) add_tree(child, pids);
  }
}

/// Manual time: the CPU time that a second without tasks costs, measured for 200 ms.
void idle(benchmark::State& state) {
  std::vector<pid_t> pids;
  add_tree(getpid(), pids);
  const auto spent = [&pids] {
    return std::accumulate(pids.begin(), pids.end(), 0.0,
                           [](double sum, pid_t pid) { return sum + cpu_seconds(pid); });
  };
  std::this_thread::sleep_for(20ms);  // what was spinning is asleep by now
  for (auto _ : state) {
    const double before = spent();
    std::this_thread::sleep_for(200ms);
    state.SetIterationTime((spent() - before) / 0.2);
  }
}
void idle_pool(benchmark::State& state) {
  procpool::pool pool(2);
  pool.apply(increment, 1);
  idle(state);
}
void no_pool(benchmark::State& state) { idle(state); }

BENCHMARK(pool_up_and_down)->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK(fresh_workers)->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK(fork_exit_wait)->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK(idle_pool)->UseManualTime()->Iterations(1)->Unit(benchmark::kMicrosecond);
BENCHMARK(no_pool)->UseManualTime()->Iterations(1)->Unit(benchmark::kMicrosecond);

BENCHMARK(eight_forked)->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK(eight_from_server)->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK(eight_spawned)->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK(execute_exit_wait)->UseRealTime()->Unit(benchmark::kMillisecond);

using enum bench::quantity;
const bench::compare forked({"pool of 8 up, first map, down; fork", time, "eight_forked",
                             "fork_exit_wait", "one fork, exit, waitpid"});
const bench::compare served({"the same; forkserver", time, "eight_from_server", "execute_exit_wait",
                             "one execution of this program, exit, waitpid"});
const bench::compare spawned({"the same; spawn", time, "eight_spawned", "execute_exit_wait",
                              "one execution of this program, exit, waitpid"});
const bench::compare up({"pool of 2 up, a task, down", time, "pool_up_and_down", "fork_exit_wait",
                         "one fork, exit, waitpid"});
const bench::compare fresh({"a new worker for each task", tasks_per_second, "fresh_workers",
                            "fork_exit_wait", "fork, exit, waitpid"});
const bench::compare still({"CPU of an idle pool, each second", time, "idle_pool", "no_pool",
                            "without a pool, measuring it"});

}  // namespace
