// SPDX-License-Identifier: MIT
// A map whose items take very different times, and the longest comes last: how near it comes to the
// least time that two workers need.
//
// Items sleep, so that a busy machine spoils little; then the same with items that compute for so
// long, which is what users have, and which wants a quiet machine. By hand: two processes that take
// the next index from a counter they share, which no pool can do that survives its workers.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <ctime>
#include <thread>
#include <utility>
#include <vector>

#include "procpool/procpool.h"
#include "raw.h"
#include "table.h"

namespace {

using namespace std::chrono_literals;
using std::chrono::microseconds;

/// 200 of 2 ms, eight of 20 to 60 ms, one of 300 ms; as in peers/measure.h.
std::vector<int> skewed() {
  std::vector<int> us(200, 2'000);
  for (int ms : {20, 60, 25, 55, 30, 50, 35, 45, 300}) us.push_back(1'000 * ms);
  return us;
}

int doze(int us) {
  std::this_thread::sleep_for(microseconds(us));
  return us;
}

/// Computes until this thread has had so much CPU time.
int compute(int us) {
  const auto spent = [] {
    timespec t{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return std::chrono::seconds(t.tv_sec) + std::chrono::nanoseconds(t.tv_nsec);
  };
  const auto end = spent() + microseconds(us);
  while (spent() < end) {
  }
  return us;
}

/// Seconds of two workers that take the items in order, one at a time, at no cost.
double in_order(const std::vector<int>& items) {
  std::pair<double, double> busy;
  for (int us : items) (busy.first <= busy.second ? busy.first : busy.second) += 1e-6 * us;
  return std::max(busy.first, busy.second);
}

/// Seconds that no order goes below: half the work, or the longest item.
double any_order(const std::vector<int>& items) {
  double sum = 0;
  for (int us : items) sum += 1e-6 * us;
  return std::max(sum / 2, 1e-6 * *std::max_element(items.begin(), items.end()));
}

template <class Map>
void makespan(benchmark::State& state, Map map) {
  const std::vector<int> items = skewed();
  map(items);
  bench::samples took;
  for (auto _ : state) {
    const auto start = bench::clock::now();
    map(items);
    took.add(bench::clock::now() - start);
  }
  const double median = took.quantile(0.5);
  state.counters["p50"] = median;
  state.counters["of_ideal"] = median / in_order(items);
  state.counters["of_any_order"] = median / any_order(items);
}

void map_skewed(benchmark::State& state, int (*f)(int)) {
  procpool::pool pool(2);
  makespan(state, [&](const std::vector<int>& items) {
    benchmark::DoNotOptimize(pool.map(f, items).data());
  });
}
void skewed_map_dozing(benchmark::State& state) { map_skewed(state, doze); }
void skewed_map_computing(benchmark::State& state) { map_skewed(state, compute); }

struct counter {
  alignas(64) std::atomic<std::size_t> next{0};
  bench::signal_word go[2];
  bench::signal_word ended[2];
};

void by_hand(benchmark::State& state, int (*f)(int)) {
  bench::shared<counter> c;
  const std::vector<int> items = skewed();
  const auto work = [&](int which) {
    for (std::uint32_t round = 1;; ++round) {
      c->go[which].wait_for(round, 20us);
      for (std::size_t i; (i = c->next.fetch_add(1)) < items.size();) f(items[i]);
      c->ended[which].set(round);
    }
  };
  bench::partner one([&] { work(0); });
  bench::partner other([&] { work(1); });
  std::uint32_t round = 0;
  makespan(state, [&](const std::vector<int>&) {
    c->next = 0;
    ++round;
    for (bench::signal_word& w : c->go) w.set(round);
    for (bench::signal_word& w : c->ended) w.wait_for(round, 0us);
  });
}
void skewed_counter_dozing(benchmark::State& state) { by_hand(state, doze); }
void skewed_counter_computing(benchmark::State& state) { by_hand(state, compute); }

/// Manual time: what the items allow two workers who take them in order.
void skewed_ideal(benchmark::State& state) {
  for (auto _ : state) state.SetIterationTime(in_order(skewed()));
  state.counters["p50"] = in_order(skewed());
}

BENCHMARK(skewed_map_dozing)->UseRealTime()->Iterations(1)->Unit(benchmark::kMillisecond);
BENCHMARK(skewed_counter_dozing)->UseRealTime()->Iterations(1)->Unit(benchmark::kMillisecond);
BENCHMARK(skewed_map_computing)->UseRealTime()->Iterations(1)->Unit(benchmark::kMillisecond);
BENCHMARK(skewed_counter_computing)->UseRealTime()->Iterations(1)->Unit(benchmark::kMillisecond);
BENCHMARK(skewed_ideal)->UseManualTime()->Iterations(1)->Unit(benchmark::kMillisecond);

using enum bench::quantity;
const bench::compare sleeping({"skewed map, items sleep", p50, "skewed_map_dozing", "skewed_ideal",
                               "the ideal, in order"});
const bench::compare sleeping_by_hand({"skewed map, items sleep", p50, "skewed_map_dozing",
                                       "skewed_counter_dozing", "two processes, a shared counter"});
const bench::compare computing({"skewed map, items compute", p50, "skewed_map_computing",
                                "skewed_ideal", "the ideal, in order"});
const bench::compare computing_by_hand({"skewed map, items compute", p50, "skewed_map_computing",
                                        "skewed_counter_computing",
                                        "two processes, a shared counter"});

}  // namespace
