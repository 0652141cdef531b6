// SPDX-License-Identifier: MIT
// Stopping what runs: how late an item's limit is kept, what a cancel takes, and what a limit costs
// the items that keep it.
#include <benchmark/benchmark.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <thread>
#include <vector>

#include "procpool/procpool.h"
#include "raw.h"
#include "table.h"

namespace {

using namespace std::chrono_literals;
constexpr auto limit = 5ms;
constexpr int items = 1'000'000;

void for_ever() {
  for (;;) pause();
}
int increment(int x) { return x + 1; }

/// From the limit to the error in the caller's hands; then nothing of the item runs any more.
void timeout_late(benchmark::State& state) {
  bench::tidy_heap();
  procpool::pool pool(2);
  bench::samples late;
  for (auto _ : state) {
    pool.apply(increment, 1);  // its worker is there again
    const auto start = bench::clock::now();
    try {
      pool.apply({.timeout = limit}, for_ever);
    } catch (const procpool::task_timeout&) {
    }
    late.add(bench::clock::now() - start - limit);
  }
  bench::say_quantiles(state, late);
}

/// The same by hand: sleep, kill a child, wait for it.
void sleep_kill_wait(benchmark::State& state) {
  bench::tidy_heap();
  bench::samples late;
  for (auto _ : state) {
    const pid_t child = fork();
    if (child == 0) for_ever();
    const auto start = bench::clock::now();
    std::this_thread::sleep_for(limit);
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
    late.add(bench::clock::now() - start - limit);
  }
  bench::say_quantiles(state, late);
}

/// From cancel() to the end of what ran.
void cancel_running(benchmark::State& state) {
  bench::tidy_heap();
  procpool::pool pool(2);
  bench::samples took;
  for (auto _ : state) {
    pool.apply(increment, 1);
    auto r = pool.apply_async(for_ever);
    while (!r.running()) std::this_thread::yield();
    const auto start = bench::clock::now();
    r.cancel();
    r.wait();
    took.add(bench::clock::now() - start);
  }
  bench::say_quantiles(state, took);
}

void kill_wait(benchmark::State& state) {
  bench::tidy_heap();
  bench::samples took;
  for (auto _ : state) {
    const pid_t child = fork();
    if (child == 0) for_ever();
    usleep(1000);
    const auto start = bench::clock::now();
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
    took.add(bench::clock::now() - start);
  }
  bench::say_quantiles(state, took);
}

void map_with(benchmark::State& state, const procpool::task_options& options) {
  procpool::pool pool(2);
  const std::vector<int> xs(items, 1);
  for (auto _ : state) benchmark::DoNotOptimize(pool.map(options, increment, xs).data());
  state.SetItemsProcessed(state.iterations() * items);
}
void map_timed(benchmark::State& state) { map_with(state, {.timeout = 1h}); }
void map_untimed(benchmark::State& state) { map_with(state, {}); }

BENCHMARK(timeout_late)->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK(sleep_kill_wait)->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK(cancel_running)->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK(kill_wait)->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK(map_timed)->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK(map_untimed)->UseRealTime()->Unit(benchmark::kMillisecond);

using enum bench::quantity;
const bench::compare late({"timeout of 5 ms, late by, p50", p50, "timeout_late", "sleep_kill_wait",
                           "sleep, kill, waitpid"});
const bench::compare cancelled({"cancel of what runs, p50", p50, "cancel_running", "kill_wait",
                                "kill, waitpid"});
const bench::compare timed({"map, 1,000,000 ints with a timeout", tasks_per_second, "map_timed",
                            "map_untimed", "without one"});

}  // namespace
