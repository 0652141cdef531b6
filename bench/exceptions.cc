// SPDX-License-Identifier: MIT
// Tasks that throw: one there and back, many at once.
#include <benchmark/benchmark.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <numeric>
#include <stdexcept>
#include <string>
#include <vector>

#include "procpool/procpool.h"
#include "raw.h"
#include "table.h"

namespace {

using namespace std::chrono_literals;
constexpr int tasks = 10'000;

[[noreturn]] void fail() { throw std::runtime_error("the input has no such line"); }
int fail_for(int x) {
  if (x < 0) return x;
  fail();
}

template <class F>
void round_trips(benchmark::State& state, F round_trip) {
  for (int i = 0; i < 100; ++i) round_trip();
  bench::samples times;
  for (auto _ : state) {
    const auto start = bench::clock::now();
    round_trip();
    times.add(bench::clock::now() - start);
  }
  bench::say_quantiles(state, times);
}

void apply_throws(benchmark::State& state) {
  procpool::pool pool(1);
  round_trips(state, [&] {
    try {
      pool.apply(fail_for, 1);
    } catch (const std::runtime_error& e) {
      benchmark::DoNotOptimize(e.what());
    }
  });
}

/// The words alone go over: thrown and caught there, thrown and caught here.
void ping_pong_throws(benchmark::State& state) {
  struct page {
    bench::two_words words;
    std::array<char, 256> text{};
  };
  bench::shared<page> shared;
  bench::partner child([&] {
    for (std::uint32_t n = 1;; ++n) {
      shared->words.there.wait_for(n, 20us);
      try {
        fail();
      } catch (const std::exception& e) {
        std::strncpy(shared->text.data(), e.what(), shared->text.size() - 1);
      }
      shared->words.back.set(n);
    }
  });
  std::uint32_t n = 0;
  round_trips(state, [&] {
    shared->words.there.set(++n);
    shared->words.back.wait_for(n, 20us);
    try {
      throw std::runtime_error(std::string(shared->text.data()));
    } catch (const std::runtime_error& e) {
      benchmark::DoNotOptimize(e.what());
    }
  });
}

void try_map_throws(benchmark::State& state) {
  procpool::pool pool;
  std::vector<int> xs(tasks);
  std::iota(xs.begin(), xs.end(), 0);
  for (auto _ : state) benchmark::DoNotOptimize(pool.try_map(fail_for, xs).data());
  state.SetItemsProcessed(state.iterations() * tasks);
}

/// In this process, kept as an outcome is.
void loop_throws(benchmark::State& state) {
  for (auto _ : state) {
    std::vector<std::exception_ptr> all(tasks);
    for (int i = 0; i < tasks; ++i) {
      try {
        benchmark::DoNotOptimize(fail_for(i));
      } catch (...) {
        all[static_cast<std::size_t>(i)] = std::current_exception();
      }
    }
    benchmark::DoNotOptimize(all.data());
  }
  state.SetItemsProcessed(state.iterations() * tasks);
}

BENCHMARK(apply_throws)->UseRealTime();
BENCHMARK(ping_pong_throws)->UseRealTime();
BENCHMARK(try_map_throws)->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK(loop_throws)->UseRealTime()->Unit(benchmark::kMillisecond);

using enum bench::quantity;
const bench::compare one({"exceptions: apply, p50", p50, "apply_throws", "ping_pong_throws",
                          "futex ping-pong, a throw at each end"});
const bench::compare many({"exceptions: try_map of 10,000", tasks_per_second, "try_map_throws",
                           "loop_throws", "a loop, one thread, one throw each"});

}  // namespace
