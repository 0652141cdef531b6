// SPDX-License-Identifier: MIT
// The chunks that map chooses by itself, against the best of those that a user might choose.
#include <benchmark/benchmark.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <vector>

#include "procpool/procpool.h"
#include "raw.h"
#include "table.h"

namespace {

using namespace std::chrono_literals;

/// Busy for so long; nothing: next to nothing.
int work(std::chrono::nanoseconds cost, int x) {
  if (cost.count() != 0)
    for (const auto end = bench::clock::now() + cost; bench::clock::now() < end;) continue;
  return x + 1;
}

struct load {
  int items;
  std::chrono::nanoseconds cost;
};
constexpr load tiny{1'000'000, 0ns};
constexpr load small{20'000, 5us};
constexpr load long_items{100, 1ms};

class mapping {
 public:
  explicit mapping(load l) : pool_(2), cost_(l.cost), xs_(static_cast<std::size_t>(l.items)) {
    std::iota(xs_.begin(), xs_.end(), 0);
    once(0);
  }
  bench::clock::duration once(std::size_t chunksize) {
    const auto start = bench::clock::now();
    const auto ys = pool_.map(
        {.chunksize = chunksize}, [cost = cost_](int x) { return work(cost, x); }, xs_);
    benchmark::DoNotOptimize(ys.data());
    return bench::clock::now() - start;
  }
  /// Of the powers of four up to all items at once, the fastest: the best of three times each.
  std::size_t best_chunksize() {
    std::size_t best = 1;
    auto least = bench::clock::duration::max();
    for (std::size_t c = 1; c <= xs_.size(); c *= 4) {
      for (int i = 0; i < 3; ++i) {
        const auto took = once(c);
        if (took < least) {
          least = took;
          best = c;
        }
      }
    }
    return best;
  }
  void run(benchmark::State& state, std::size_t chunksize) {
    for (auto _ : state) once(chunksize);
    state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(xs_.size()));
    state.counters["chunksize"] = static_cast<double>(chunksize);
  }

 private:
  procpool::pool pool_;
  std::chrono::nanoseconds cost_;
  std::vector<int> xs_;
};

void chosen(benchmark::State& state, load l) { mapping(l).run(state, 0); }
void best(benchmark::State& state, load l) {
  mapping m(l);
  m.run(state, m.best_chunksize());
}

void chunk_of_tiny(benchmark::State& state) { chosen(state, tiny); }
void best_of_tiny(benchmark::State& state) { best(state, tiny); }
void chunk_of_small(benchmark::State& state) { chosen(state, small); }
void best_of_small(benchmark::State& state) { best(state, small); }
void chunk_of_long(benchmark::State& state) { chosen(state, long_items); }
void best_of_long(benchmark::State& state) { best(state, long_items); }

BENCHMARK(chunk_of_tiny)->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK(best_of_tiny)->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK(chunk_of_small)->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK(best_of_small)->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK(chunk_of_long)->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK(best_of_long)->UseRealTime()->Unit(benchmark::kMillisecond);

using enum bench::quantity;
const bench::compare tiny_row({"map, tiny items, chunksize chosen", tasks_per_second,
                               "chunk_of_tiny", "best_of_tiny", "the best chunksize given"});
const bench::compare small_row({"map, items of 5 us", tasks_per_second, "chunk_of_small",
                                "best_of_small", "the best chunksize given"});
const bench::compare long_row({"map, items of 1 ms", tasks_per_second, "chunk_of_long",
                               "best_of_long", "the best chunksize given"});

}  // namespace
