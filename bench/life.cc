// SPDX-License-Identifier: MIT
// Pools and workers that come and go. (Pools that have nothing to do: idle.cc.)
#include <benchmark/benchmark.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "procpool/procpool.h"
#include "raw.h"
#include "table.h"

namespace {

constexpr int tasks = 100;

int increment(int x) { return x + 1; }

void pool_up_and_down(benchmark::State& state) {
  bench::tidy_heap();
  for (auto _ : state) {
    procpool::pool pool(2);
    benchmark::DoNotOptimize(pool.apply(increment, 1));
  }
}

/// What Python's own figures are of: 8 workers, and the first map through all of them.
void eight_up(procpool::start_method method, benchmark::State& state) {
  bench::tidy_heap();
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
  bench::tidy_heap();
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
  bench::tidy_heap();
  procpool::pool pool({.processes = 2, .max_tasks_per_child = 1});
  const std::vector<int> xs(tasks, 1);
  for (auto _ : state) benchmark::DoNotOptimize(pool.map(increment, xs).data());
  state.SetItemsProcessed(state.iterations() * tasks);
}

void fork_exit_wait(benchmark::State& state) {
  bench::tidy_heap();
  for (auto _ : state) {
    const pid_t pid = fork();
    if (pid == 0) _exit(0);
    waitpid(pid, nullptr, 0);
  }
  state.SetItemsProcessed(state.iterations());
}

BENCHMARK(pool_up_and_down)->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK(fresh_workers)->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK(fork_exit_wait)->UseRealTime()->Unit(benchmark::kMillisecond);

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

}  // namespace
