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
    const auto took = bench::time_of(call);
    times.add(took);
    state.SetIterationTime(std::chrono::duration<double>(took).count());
  }
  bench::say_quantiles(state, times);
}

/// Two ways in turn, call for call, as what one finds depends on what the host did the moment
/// before.
template <class Call, class ByHand>
void both_timed(benchmark::State& state, before what, Call call, ByHand by_hand) {
  bench::samples times;
  bench::samples times_by_hand;
  for (auto _ : state) {
    pass(what);
    const auto took = bench::time_of(call);
    pass(what);
    times_by_hand.add(bench::time_of(by_hand));
    times.add(took);
    state.SetIterationTime(std::chrono::duration<double>(took).count());
  }
  bench::say_quantiles(state, times);
  bench::say_quantiles(state, times_by_hand, "by_hand_");
}

void apply(benchmark::State& state, before what) {
  procpool::pool pool(2);
  int x = 0;
  for (int i = 0; i < 100; ++i) x = pool.apply(increment, x);
  each_timed(state, what, [&] { x = pool.apply(increment, x); });
}
void apply_awake(benchmark::State& state) { apply(state, before::nothing); }
void apply_asleep(benchmark::State& state) { apply(state, before::sleep); }

/// A pool of one worker on that CPU, its caller on the first.
class pool_on {
 public:
  explicit pool_on(int cpu)
      : pool_({.processes = 1,
               .initializer = procpool::task([cpu] { static const bench::on_cpu there(cpu); })}) {
    for (int i = 0; i < 100; ++i) call();
  }
  void call() { x_ = pool_.apply(increment, x_); }

 private:
  bench::on_cpu here_{0};
  procpool::pool pool_;
  int x_ = 0;
};

/// The same by hand; without a number both are where the kernel puts them.
class ping_pong_on {
 public:
  explicit ping_pong_on(std::optional<int> cpu, std::chrono::nanoseconds spin = 0us)
      : spin_(spin), other_([this, cpu] {
          if (cpu) static const bench::on_cpu there(*cpu);
          for (std::uint32_t n = 1;; ++n) {
            words_->there.wait_for(n, spin_);
            words_->back.set(n);
          }
        }) {
    if (cpu) here_.emplace(0);
  }
  void call() {
    words_->there.set(++n_);
    words_->back.wait_for(n_, spin_);
  }

 private:
  std::chrono::nanoseconds spin_;
  bench::shared<bench::two_words> words_;
  bench::partner other_;
  std::optional<bench::on_cpu> here_;
  std::uint32_t n_ = 0;
};

void apply_on(benchmark::State& state, int cpu, before what) {
  pool_on ours(cpu);
  each_timed(state, what, [&] { ours.call(); });
}
void apply_and_by_hand_on(benchmark::State& state, int cpu, before what) {
  pool_on ours(cpu);
  ping_pong_on by_hand(cpu);
  both_timed(
      state, what, [&] { ours.call(); }, [&] { by_hand.call(); });
}
void apply_asleep_on_two_cpus(benchmark::State& state) {
  apply_and_by_hand_on(state, 1, before::sleep);
}
void apply_asleep_on_one_cpu(benchmark::State& state) {
  apply_and_by_hand_on(state, 0, before::sleep);
}
void apply_after_work_on_two_cpus(benchmark::State& state) {
  apply_and_by_hand_on(state, 1, before::work);
}
void apply_after_work_on_one_cpu(benchmark::State& state) {
  apply_and_by_hand_on(state, 0, before::work);
}
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

void ping_pong(benchmark::State& state, before what, std::chrono::nanoseconds spin,
               std::optional<int> cpu = {}) {
  ping_pong_on by_hand(cpu, spin);
  each_timed(state, what, [&] { by_hand.call(); });
}
void ping_pong_spinning(benchmark::State& state) { ping_pong(state, before::nothing, 20us); }
void ping_pong_sleeping(benchmark::State& state) { ping_pong(state, before::nothing, 0us); }
void ping_pong_asleep(benchmark::State& state) { ping_pong(state, before::sleep, 0us); }
void ping_pong_asleep_spinning(benchmark::State& state) { ping_pong(state, before::sleep, 20us); }

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
BENCHMARK(apply_asleep_on_one_cpu)->UseManualTime()->Iterations(300);
BENCHMARK(apply_after_work_on_two_cpus)->UseManualTime()->Iterations(2000);
BENCHMARK(apply_after_work_on_one_cpu)->UseManualTime()->Iterations(2000);
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
                               "apply_asleep_on_two_cpus", bench::by_hand,
                               "futex ping-pong, the same"});
const bench::compare one_cpu({"apply, both asleep, on one CPU, p50", p50, "apply_asleep_on_one_cpu",
                              bench::by_hand, "futex ping-pong, the same"});
const bench::compare warm_two({"apply, after work, on two CPUs, p50", p50,
                               "apply_after_work_on_two_cpus", bench::by_hand,
                               "futex ping-pong, the same"});
const bench::compare warm_one({"apply, after work, on one CPU, p50", p50,
                               "apply_after_work_on_one_cpu", bench::by_hand,
                               "futex ping-pong, the same"});
const bench::compare in_turn({"apply, in turn on one CPU, p50", p50, "apply_in_turn_on_one_cpu",
                              "ping_pong_in_turn_on_one_cpu", "futex ping-pong, the same"});
const bench::compare beside({"apply, beside a computation on one CPU, mean", time,
                             "apply_beside_a_computation", "ping_pong_beside_a_computation",
                             "futex ping-pong, the same"});
const bench::compare many({"apply_async, 10,000 and get", tasks_per_second, "apply_async",
                           "ring_of_tasks", "a ring of slots, one process"});

}  // namespace
