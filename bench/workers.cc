// SPDX-License-Identifier: MIT
// What a task costs the parent, of its own CPU time and on all its threads, by how many workers
// there are.
#include <benchmark/benchmark.h>

#include <ctime>
#include <vector>

#include "procpool/procpool.h"
#include "table.h"

namespace {

constexpr int tasks = 10'000;

int increment(int x) { return x + 1; }

double cpu_seconds() {
  timespec t{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

void cpu_of_a_task(benchmark::State& state, int workers) {
  procpool::pool pool({.processes = workers});
  std::vector<procpool::async_result<int>> results(tasks);
  const auto round = [&] {
    for (int i = 0; i < tasks; ++i)
      results[static_cast<std::size_t>(i)] = pool.apply_async(increment, i);
    for (auto& r : results) benchmark::DoNotOptimize(r.get());
  };
  round();
  for (auto _ : state) {
    const double before = cpu_seconds();
    round();
    state.SetIterationTime((cpu_seconds() - before) / tasks);
  }
}
void cpu_of_1(benchmark::State& state) { cpu_of_a_task(state, 1); }
void cpu_of_2(benchmark::State& state) { cpu_of_a_task(state, 2); }
void cpu_of_8(benchmark::State& state) { cpu_of_a_task(state, 8); }
void cpu_of_64(benchmark::State& state) { cpu_of_a_task(state, 64); }

BENCHMARK(cpu_of_1)->UseManualTime()->Iterations(50);
BENCHMARK(cpu_of_2)->UseManualTime()->Iterations(50);
BENCHMARK(cpu_of_8)->UseManualTime()->Iterations(50);
BENCHMARK(cpu_of_64)->UseManualTime()->Iterations(50);

using bench::quantity;
const bench::compare two({"CPU of a task, 2 workers", quantity::time, "cpu_of_2", "cpu_of_1",
                          "the same with one"});
const bench::compare eight({"CPU of a task, 8 workers", quantity::time, "cpu_of_8", "cpu_of_1",
                            "the same with one"});
const bench::compare many({"CPU of a task, 64 workers", quantity::time, "cpu_of_64", "cpu_of_1",
                           "the same with one"});

}  // namespace
