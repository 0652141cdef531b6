// SPDX-License-Identifier: MIT
// One call there and back, awake and asleep; many small ones at once.
#include <benchmark/benchmark.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "procpool/procpool.h"
#include "raw.h"
#include "table.h"

namespace {

using namespace std::chrono_literals;
constexpr int tasks = 10'000;

int increment(int x) { return x + 1; }

/// What the caller does before each call, which is not timed. After either of the last two nobody
/// spins any more; after work the caller's code and data are still in its caches.
enum class before { nothing, sleep, work };

void pass(before what) {
  switch (what) {
    case before::nothing:
      break;
    case before::sleep:
      std::this_thread::sleep_for(2ms);
      break;
    case before::work:
      for (const auto start = bench::clock::now(); bench::clock::now() - start < 300us;) continue;
      break;
  }
}

template <class Call>
void each_timed(benchmark::State& state, before what, Call call) {
  bench::samples times;
  for (auto _ : state) {
    pass(what);
    const auto start = bench::clock::now();
    call();
    const auto took = bench::clock::now() - start;
    times.add(took);
    state.SetIterationTime(std::chrono::duration<double>(took).count());
  }
  bench::say_quantiles(state, times);
}

void apply(benchmark::State& state, before what) {
  procpool::pool pool(2);
  int x = 0;
  for (int i = 0; i < 100; ++i) x = pool.apply(increment, x);
  each_timed(state, what, [&] { x = pool.apply(increment, x); });
}
void apply_awake(benchmark::State& state) { apply(state, before::nothing); }
void apply_asleep(benchmark::State& state) { apply(state, before::sleep); }

/// The worker, or the partner by hand, on that CPU; this thread on the first.
void apply_on(benchmark::State& state, int cpu, before what) {
  const bench::on_cpu here(0);
  procpool::pool pool({.processes = 1, .initializer = procpool::task([cpu] {
                                         static const bench::on_cpu there(cpu);
                                       })});
  int x = 0;
  for (int i = 0; i < 100; ++i) x = pool.apply(increment, x);
  each_timed(state, what, [&] { x = pool.apply(increment, x); });
}
void apply_asleep_on_two_cpus(benchmark::State& state) { apply_on(state, 1, before::sleep); }
void apply_asleep_on_one_cpu(benchmark::State& state) { apply_on(state, 0, before::sleep); }
void apply_after_work_on_two_cpus(benchmark::State& state) { apply_on(state, 1, before::work); }
void apply_after_work_on_one_cpu(benchmark::State& state) { apply_on(state, 0, before::work); }
/// One call after the other: each side has to leave the CPU to the other.
void apply_in_turn_on_one_cpu(benchmark::State& state) { apply_on(state, 0, before::nothing); }

/// Where it runs there is always somebody else who wants to run, too.
class busy_cpu {
  bench::on_cpu here_{0};
  bench::partner other_{[] {
    for (std::uint64_t x = 0;; ++x) benchmark::DoNotOptimize(x);
  }};
};
void apply_beside_a_computation(benchmark::State& state) {
  const busy_cpu all;
  apply_on(state, 0, before::nothing);
}

void ping_pong(benchmark::State& state, before what, std::chrono::nanoseconds spin, int cpu = -1) {
  bench::shared<bench::two_words> words;
  std::optional<bench::on_cpu> here;
  if (cpu >= 0) here.emplace(0);
  bench::partner child([&] {
    if (cpu >= 0) static const bench::on_cpu there(cpu);
    for (std::uint32_t n = 1;; ++n) {
      words->there.wait_for(n, spin);
      words->back.set(n);
    }
  });
  std::uint32_t n = 0;
  each_timed(state, what, [&] {
    words->there.set(++n);
    words->back.wait_for(n, spin);
  });
}
void ping_pong_spinning(benchmark::State& state) { ping_pong(state, before::nothing, 20us); }
void ping_pong_sleeping(benchmark::State& state) { ping_pong(state, before::nothing, 0us); }
void ping_pong_asleep(benchmark::State& state) { ping_pong(state, before::sleep, 0us); }
void ping_pong_asleep_spinning(benchmark::State& state) { ping_pong(state, before::sleep, 20us); }

void ping_pong_on_two_cpus(benchmark::State& state) { ping_pong(state, before::sleep, 0us, 1); }
void ping_pong_on_one_cpu(benchmark::State& state) { ping_pong(state, before::sleep, 0us, 0); }
void ping_pong_after_work_on_two_cpus(benchmark::State& state) {
  ping_pong(state, before::work, 0us, 1);
}
void ping_pong_after_work_on_one_cpu(benchmark::State& state) {
  ping_pong(state, before::work, 0us, 0);
}
void ping_pong_in_turn_on_one_cpu(benchmark::State& state) {
  ping_pong(state, before::nothing, 0us, 0);
}
void ping_pong_beside_a_computation(benchmark::State& state) {
  const busy_cpu all;
  ping_pong(state, before::nothing, 0us, 0);
}

void apply_async(benchmark::State& state) {
  procpool::pool pool;
  std::vector<procpool::async_result<int>> results(tasks);
  for (auto _ : state) {
    for (int i = 0; i < tasks; ++i)
      results[static_cast<std::size_t>(i)] = pool.apply_async(increment, i);
    for (auto& r : results) benchmark::DoNotOptimize(r.get());
  }
  state.SetItemsProcessed(state.iterations() * tasks);
}

/// A ring of slots, each with its own state: 0 free, 1 a task, 2 its result.
struct ring {
  struct slot {
    std::atomic<std::uint32_t> state{0};
    int value = 0;
  };
  std::array<slot, 4096> slots;
};

void ring_of_tasks(benchmark::State& state) {
  bench::shared<ring> r;
  const auto wait_for = [](std::atomic<std::uint32_t>& word, std::uint32_t wanted) {
    for (int i = 1; word.load(std::memory_order_acquire) != wanted; ++i)
      if (i % 1024 == 0) sched_yield();
  };
  bench::partner child([&] {
    for (std::size_t n = 0;; ++n) {
      auto& slot = r->slots[n % r->slots.size()];
      wait_for(slot.state, 1);
      slot.value = increment(slot.value);
      slot.state.store(2, std::memory_order_release);
    }
  });
  std::size_t sent = 0;
  std::size_t taken = 0;
  for (auto _ : state) {
    const std::size_t end = taken + tasks;
    while (taken < end) {
      for (; sent < end && sent - taken < r->slots.size() / 2; ++sent) {
        auto& slot = r->slots[sent % r->slots.size()];
        slot.value = static_cast<int>(sent);
        slot.state.store(1, std::memory_order_release);
      }
      auto& slot = r->slots[taken % r->slots.size()];
      wait_for(slot.state, 2);
      benchmark::DoNotOptimize(slot.value);
      slot.state.store(0, std::memory_order_relaxed);
      ++taken;
    }
  }
  state.SetItemsProcessed(state.iterations() * tasks);
}

BENCHMARK(apply_awake)->UseManualTime();
BENCHMARK(ping_pong_spinning)->UseManualTime();
BENCHMARK(ping_pong_sleeping)->UseManualTime();
BENCHMARK(apply_asleep)->UseManualTime()->Iterations(300);
BENCHMARK(ping_pong_asleep)->UseManualTime()->Iterations(300);
BENCHMARK(ping_pong_asleep_spinning)->UseManualTime()->Iterations(300);
BENCHMARK(apply_asleep_on_two_cpus)->UseManualTime()->Iterations(300);
BENCHMARK(ping_pong_on_two_cpus)->UseManualTime()->Iterations(300);
BENCHMARK(apply_asleep_on_one_cpu)->UseManualTime()->Iterations(300);
BENCHMARK(ping_pong_on_one_cpu)->UseManualTime()->Iterations(300);
BENCHMARK(apply_after_work_on_two_cpus)->UseManualTime()->Iterations(2000);
BENCHMARK(ping_pong_after_work_on_two_cpus)->UseManualTime()->Iterations(2000);
BENCHMARK(apply_after_work_on_one_cpu)->UseManualTime()->Iterations(2000);
BENCHMARK(ping_pong_after_work_on_one_cpu)->UseManualTime()->Iterations(2000);
BENCHMARK(apply_in_turn_on_one_cpu)->UseManualTime();
BENCHMARK(ping_pong_in_turn_on_one_cpu)->UseManualTime();
BENCHMARK(apply_beside_a_computation)->UseManualTime();
BENCHMARK(ping_pong_beside_a_computation)->UseManualTime();
BENCHMARK(apply_async)->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK(ring_of_tasks)->UseRealTime()->Unit(benchmark::kMillisecond);

using enum bench::quantity;
const bench::compare round_trip({"apply, p50", p50, "apply_awake", "ping_pong_spinning",
                                 "futex ping-pong, spinning first"});
const bench::compare late({"apply, p99", p99, "apply_awake", "ping_pong_spinning",
                           "futex ping-pong, spinning first"});
const bench::compare never_spins({"apply, p50", p50, "apply_awake", "ping_pong_sleeping",
                                  "futex ping-pong, never spinning"});
const bench::compare asleep({"apply, both sides asleep, p50", p50, "apply_asleep",
                             "ping_pong_asleep", "futex ping-pong, both asleep before"});
const bench::compare asleep_late({"apply, both sides asleep, p99", p99, "apply_asleep",
                                  "ping_pong_asleep", "futex ping-pong, both asleep before"});
const bench::compare asleep_spins({"apply, both sides asleep, p50", p50, "apply_asleep",
                                   "ping_pong_asleep_spinning", "the same, spinning for 20 us"});
const bench::compare two_cpus({"apply, both asleep, on two CPUs, p50", p50,
                               "apply_asleep_on_two_cpus", "ping_pong_on_two_cpus",
                               "futex ping-pong, the same"});
const bench::compare one_cpu({"apply, both asleep, on one CPU, p50", p50, "apply_asleep_on_one_cpu",
                              "ping_pong_on_one_cpu", "futex ping-pong, the same"});
const bench::compare warm_two({"apply, after work, on two CPUs, p50", p50,
                               "apply_after_work_on_two_cpus", "ping_pong_after_work_on_two_cpus",
                               "futex ping-pong, the same"});
const bench::compare warm_one({"apply, after work, on one CPU, p50", p50,
                               "apply_after_work_on_one_cpu", "ping_pong_after_work_on_one_cpu",
                               "futex ping-pong, the same"});
const bench::compare in_turn({"apply, in turn on one CPU, p50", p50, "apply_in_turn_on_one_cpu",
                              "ping_pong_in_turn_on_one_cpu", "futex ping-pong, the same"});
const bench::compare beside({"apply, beside a computation on one CPU, mean", time,
                             "apply_beside_a_computation", "ping_pong_beside_a_computation",
                             "futex ping-pong, the same"});
const bench::compare many({"apply_async, 10,000 and get", tasks_per_second, "apply_async",
                           "ring_of_tasks", "a ring of slots, one process"});

}  // namespace
