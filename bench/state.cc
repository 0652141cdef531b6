// SPDX-License-Identifier: MIT
// State of a callable: what a task costs more for it, and 800 kB of it for 1000 tasks, each way.
#include <benchmark/benchmark.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "procpool/procpool.h"
#include "table.h"

namespace {

using table = std::vector<double>;
constexpr std::size_t numbers = 100'000;  // 800 kB
constexpr int tasks = 1000;
constexpr int items = 1'000'000;

double third(std::span<const double> t) { return t[3]; }

/// One map of a million items, so that what is measured is the item.
template <class F>
void map_items(benchmark::State& state, procpool::pool& pool, const F& f) {
  const std::vector<int> xs(items, 1);
  pool.map(f, xs);
  for (auto _ : state) benchmark::DoNotOptimize(pool.map(f, xs).data());
  state.SetItemsProcessed(state.iterations() * items);
}

void item_without_state(benchmark::State& state) {
  procpool::pool pool(1);
  map_items(state, pool, [](int x) { return 3.0 + x; });
}
void item_with_capture(benchmark::State& state) {
  procpool::pool pool(1);
  const double k = 3;
  map_items(state, pool, [k](int x) { return k + x; });
}
void item_with_bind(benchmark::State& state) {
  procpool::pool pool(1);
  map_items(state, pool,
            procpool::bind([](std::span<const double> t, int x) { return t[3] + x; },
                           table(numbers, 3.0)));
}
void item_with_share(benchmark::State& state) {
  procpool::pool pool(1);
  const auto t = pool.share(table(numbers, 3.0));
  map_items(state, pool, [t](int x) { return (*t)[3] + x; });
}
void item_with_shared_map(benchmark::State& state) {
  procpool::pool pool(1);
  const auto t = pool.share(std::map<std::string, double>{{"a", 3.0}});
  map_items(state, pool, [t](int x) { return static_cast<double>(t->size()) + x; });
}

template <class Call>
void send_state(benchmark::State& state, const Call& call) {
  procpool::pool pool(2);
  const table t(numbers, 3.0);
  const std::vector<int> xs(tasks, 1);
  call(pool, t, xs);
  for (auto _ : state) call(pool, t, xs);
}

void state_as_argument(benchmark::State& state) {
  send_state(state, [](procpool::pool& pool, const table& t, const std::vector<int>&) {
    const std::vector<std::span<const double>> each(tasks, t);
    benchmark::DoNotOptimize(pool.map(third, each).data());
  });
}
void state_by_bind(benchmark::State& state) {
  send_state(state, [](procpool::pool& pool, const table& t, const std::vector<int>& xs) {
    benchmark::DoNotOptimize(
        pool.map(procpool::bind([](std::span<const double> s, int x) { return third(s) + x; },
                                std::span(t)),
                 xs)
            .data());
  });
}
void state_by_share(benchmark::State& state) {
  send_state(state, [](procpool::pool& pool, const table& t, const std::vector<int>& xs) {
    const auto h = pool.share(t);
    benchmark::DoNotOptimize(pool.map([h](int x) { return third(*h) + x; }, xs).data());
    pool.unshare(h);
  });
}
void state_by_snapshot(benchmark::State& state) {
  send_state(state, [](procpool::pool&, const table& t, const std::vector<int>& xs) {
    benchmark::DoNotOptimize(procpool::snapshot_map(
                                 {.processes = 2}, [&t](int x) { return third(t) + x; }, xs)
                                 .data());
  });
}

BENCHMARK(item_without_state)->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK(item_with_capture)->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK(item_with_bind)->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK(item_with_share)->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK(item_with_shared_map)->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK(state_as_argument)->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK(state_by_bind)->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK(state_by_share)->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK(state_by_snapshot)->UseRealTime()->Unit(benchmark::kMillisecond);

using enum bench::quantity;
const bench::compare capture({"an item with a capture", tasks_per_second, "item_with_capture",
                              "item_without_state", "the same without state"});
const bench::compare bound({"an item with bind", tasks_per_second, "item_with_bind",
                            "item_without_state", "the same without state"});
const bench::compare shared({"an item with share, a view", tasks_per_second, "item_with_share",
                             "item_without_state", "the same without state"});
const bench::compare decoded({"an item with share, an object", tasks_per_second,
                              "item_with_shared_map", "item_without_state",
                              "the same without state"});
const bench::compare not_bound({"800 kB to each of 1000 tasks", time, "state_as_argument",
                                "state_by_bind", "the same by bind, once"});
const bench::compare not_shared({"800 kB to each of 1000 tasks", time, "state_as_argument",
                                 "state_by_share", "the same by share, once"});
const bench::compare not_copied({"800 kB to each of 1000 tasks", time, "state_as_argument",
                                 "state_by_snapshot", "the same by snapshot_map"});

}  // namespace
