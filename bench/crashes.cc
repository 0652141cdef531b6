// SPDX-License-Identifier: MIT
// Tasks that crash: from the call to worker_died, with what the report costs the pool and without.
// Nobody reads the stack here; what that costs then is its reader's.
#include <benchmark/benchmark.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "procpool/procpool.h"
#include "raw.h"
#include "table.h"

namespace {

int increment(int x) { return x + 1; }
void crash() { raise(SIGSEGV); }

void crashes(benchmark::State& state, bool traces) {
  bench::tidy_heap();
  procpool::pool pool({.processes = 2, .crash_traces = traces});
  bench::samples took;
  for (auto _ : state) {
    pool.apply(increment, 1);  // its worker is there again
    const auto start = bench::clock::now();
    try {
      pool.apply(crash);
    } catch (const procpool::worker_died& e) {
      benchmark::DoNotOptimize(e.signal());
    }
    took.add(bench::clock::now() - start);
  }
  bench::say_quantiles(state, took);
}
void crash_traced(benchmark::State& state) { crashes(state, true); }
void crash_untraced(benchmark::State& state) { crashes(state, false); }

void fork_crash_wait(benchmark::State& state) {
  bench::tidy_heap();
  bench::samples took;
  for (auto _ : state) {
    const auto start = bench::clock::now();
    const pid_t child = fork();
    if (child == 0) {
      crash();
      _exit(1);
    }
    waitpid(child, nullptr, 0);
    took.add(bench::clock::now() - start);
  }
  bench::say_quantiles(state, took);
}

BENCHMARK(crash_traced)->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK(crash_untraced)->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK(fork_crash_wait)->UseRealTime()->Unit(benchmark::kMillisecond);

using enum bench::quantity;
const bench::compare report({"a crash, call to worker_died, p50", p50, "crash_traced",
                             "crash_untraced", "the same without crash_traces"});
const bench::compare by_hand({"a crash, call to worker_died, p50", p50, "crash_traced",
                              "fork_crash_wait", "fork, crash, waitpid"});

}  // namespace
