// SPDX-License-Identifier: MIT
// What a task costs the parent, of its own CPU time and on all its threads, by how many workers
// there are.
#include <benchmark/benchmark.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <ctime>
#include <memory>
#include <vector>

#include "procpool/procpool.h"
#include "raw.h"
#include "table.h"

namespace {

constexpr int tasks = 10'000;
constexpr int rounds = 500;

int increment(int x) { return x + 1; }

bench::clock::duration cpu_time() {
  timespec t{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return std::chrono::seconds(t.tv_sec) + std::chrono::nanoseconds(t.tv_nsec);
}

constexpr std::array workers{1, 2, 8, 64};

/// With each of them in turn, round after round, so that what else the machine does hits all alike.
std::array<bench::samples, workers.size()> costs() {
  std::array<bench::samples, workers.size()> all;
  std::vector<std::unique_ptr<procpool::pool>> pools;
  for (const int many : workers)
    pools.push_back(std::make_unique<procpool::pool>(procpool::pool_options{.processes = many}));
  std::vector<procpool::async_result<int>> results(tasks);
  for (int round = 0; round <= rounds; ++round)
    for (std::size_t k = 0; k < pools.size(); ++k) {
      const auto before = cpu_time();
      for (int i = 0; i < tasks; ++i)
        results[static_cast<std::size_t>(i)] = pools[k]->apply_async(increment, i);
      for (auto& r : results) benchmark::DoNotOptimize(r.get());
      if (round != 0) all[k].add((cpu_time() - before) / tasks);  // the first one warms up
    }
  return all;
}

void cpu_of_a_task(benchmark::State& state, std::size_t with) {
  static auto all = costs();
  for (auto _ : state) state.SetIterationTime(all[with].quantile(0.5));
  bench::say_quantiles(state, all[with]);
}
void cpu_of_1(benchmark::State& state) { cpu_of_a_task(state, 0); }
void cpu_of_2(benchmark::State& state) { cpu_of_a_task(state, 1); }
void cpu_of_8(benchmark::State& state) { cpu_of_a_task(state, 2); }
void cpu_of_64(benchmark::State& state) { cpu_of_a_task(state, 3); }

BENCHMARK(cpu_of_1)->UseManualTime()->Iterations(1);
BENCHMARK(cpu_of_2)->UseManualTime()->Iterations(1);
BENCHMARK(cpu_of_8)->UseManualTime()->Iterations(1);
BENCHMARK(cpu_of_64)->UseManualTime()->Iterations(1);

using bench::quantity;
const bench::compare two({"CPU of a task, 2 workers", quantity::p50, "cpu_of_2", "cpu_of_1",
                          "the same with one"});
const bench::compare eight({"CPU of a task, 8 workers", quantity::p50, "cpu_of_8", "cpu_of_1",
                            "the same with one"});
const bench::compare many({"CPU of a task, 64 workers", quantity::p50, "cpu_of_64", "cpu_of_1",
                           "the same with one"});

}  // namespace
