// SPDX-License-Identifier: MIT
// Many items: map of a million, imap one by one. (Uneven ones: skewed.cc.)
#include <benchmark/benchmark.h>

#include <cstring>
#include <numeric>
#include <vector>

#include "procpool/procpool.h"
#include "table.h"

namespace {

constexpr int million = 1'000'000;
constexpr int few = 20'000;

int increment(int x) { return x + 1; }

std::vector<int> numbers(int n) {
  std::vector<int> all(static_cast<std::size_t>(n));
  std::iota(all.begin(), all.end(), 0);
  return all;
}

void map(benchmark::State& state) {
  procpool::pool pool;
  const std::vector<int> xs = numbers(million);
  for (auto _ : state) benchmark::DoNotOptimize(pool.map(increment, xs).data());
  state.SetItemsProcessed(state.iterations() * million);
}

void plain_loop(benchmark::State& state) {
  const std::vector<int> xs = numbers(million);
  int (*volatile hidden)(int) = increment;  // a call each, as a worker makes
  for (auto _ : state) {
    int (*f)(int) = hidden;
    std::vector<int> ys(xs.size());
    for (std::size_t i = 0; i < xs.size(); ++i) ys[i] = f(xs[i]);
    benchmark::DoNotOptimize(ys.data());
  }
  state.SetItemsProcessed(state.iterations() * million);
}

void plain_copy(benchmark::State& state) {
  const std::vector<int> xs = numbers(million);
  for (auto _ : state) {
    std::vector<int> ys(xs.size());
    std::memcpy(ys.data(), xs.data(), xs.size() * sizeof(int));
    benchmark::DoNotOptimize(ys.data());
  }
  state.SetItemsProcessed(state.iterations() * million);
}

void imap(benchmark::State& state, std::size_t chunksize, int n) {
  procpool::pool pool;
  const std::vector<int> xs = numbers(n);
  for (auto _ : state) {
    long sum = 0;
    for (int y : pool.imap({.chunksize = chunksize}, increment, xs)) sum += y;
    benchmark::DoNotOptimize(sum);
  }
  state.SetItemsProcessed(state.iterations() * n);
}
void imap_one_by_one(benchmark::State& state) { imap(state, 1, few); }
void imap_default(benchmark::State& state) { imap(state, 0, million); }

BENCHMARK(map)->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK(plain_loop)->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK(plain_copy)->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK(imap_one_by_one)->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK(imap_default)->UseRealTime()->Unit(benchmark::kMillisecond);

using enum bench::quantity;
const bench::compare loop({"map, 1,000,000 ints", tasks_per_second, "map", "plain_loop",
                           "a loop in one process"});
const bench::compare copy({"map, 1,000,000 ints", tasks_per_second, "map", "plain_copy",
                           "memcpy of them into a new vector"});
const bench::compare one({"imap, chunksize 1", tasks_per_second, "imap_one_by_one", "ring_of_tasks",
                          "a ring of slots, one process"});
const bench::compare chosen({"imap, default chunksize", tasks_per_second, "imap_default",
                             "ring_of_tasks", "a ring of slots, one process"});

}  // namespace
