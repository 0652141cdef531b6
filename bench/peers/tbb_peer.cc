// SPDX-License-Identifier: MIT
// oneTBB: two threads besides the caller's, and no isolation.
#include <tbb/global_control.h>
#include <tbb/parallel_for.h>
#include <tbb/parallel_pipeline.h>
#include <tbb/task_arena.h>
#include <tbb/version.h>

#include <cstddef>
#include <future>
#include <memory>
#include <utility>
#include <vector>

#include "rows.h"

namespace {

using peers::blob;
using peers::doze;
using peers::increment;
using ints = std::vector<int>;

using arena = tbb::task_arena;

template <class F>
auto enqueue(arena& a, F f) {
  // A task must be copyable, and a promise is not.
  auto task = std::make_shared<std::packaged_task<decltype(f())()>>(std::move(f));
  a.enqueue([task] { (*task)(); });
  return task->get_future();
}

template <class F>
ints map(arena& a, F f, const ints& xs) {
  ints ys(xs.size());
  const auto all = [&] {
    tbb::parallel_for(std::size_t{0}, xs.size(), [&](std::size_t i) { ys[i] = f(xs[i]); });
  };
  enqueue(a, all).get();
  return ys;
}

int last_in_order(arena& a, const ints& xs) {
  int last = 0;
  auto next = xs.begin();
  const auto read = [&](tbb::flow_control& control) {
    if (next == xs.end()) return control.stop(), 0;
    return *next++;
  };
  const auto all = [&] {
    tbb::parallel_pipeline(16,
                           tbb::make_filter<void, int>(tbb::filter_mode::serial_in_order, read) &
                               tbb::make_filter<int, int>(tbb::filter_mode::parallel, &increment) &
                               tbb::make_filter<int, void>(tbb::filter_mode::serial_in_order,
                                                           [&](int y) { last = y; }));
  };
  enqueue(a, all).get();
  return last;
}

}  // namespace

int main(int argc, char** argv) {
  peers::rows rows("oneTBB", TBB_VERSION_STRING, argc, argv);
  // The first number counts the caller, who only waits here; the arena keeps no place for him.
  const tbb::global_control three(tbb::global_control::max_allowed_parallelism, 3);
  arena workers(2, 0);
  rows.apply([&](int x) { return enqueue(workers, [x] { return increment(x); }).get(); });
  rows.rate("apply_async", [&](const ints& xs) {
    std::vector<std::future<int>> results;
    for (int x : xs) results.push_back(enqueue(workers, [x] { return increment(x); }));
    int y = 0;
    for (auto& r : results) y = r.get();
    return y;
  });
  rows.rate("map", [&](const ints& xs) { return map(workers, increment, xs).back(); });
  rows.absent("imap", "its pipeline takes one item at a time");
  rows.rate("imap_1", [&](const ints& xs) { return last_in_order(workers, xs); });
  rows.echo([&](const blob& b) {
    return enqueue(workers, [b]() mutable { return peers::same(std::move(b)); }).get();
  });
  rows.skewed([&](const ints& xs) { return map(workers, doze, xs); });
  rows.absent("up_down", "its threads are the program's, not an arena's");
  rows.absent("fresh", "its threads are never replaced");
}
