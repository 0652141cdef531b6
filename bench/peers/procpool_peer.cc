// SPDX-License-Identifier: MIT
// procpool itself, through what a user sees of it.
#include "procpool/procpool.h"

#include <cstddef>
#include <vector>

#include "rows.h"

using peers::blob;
using peers::doze;
using peers::increment;

int main(int argc, char** argv) {
  peers::rows rows("procpool", PROCPOOL_PEER_VERSION, argc, argv);
  using ints = const std::vector<int>&;
  rows.up_down([] {
    procpool::pool pool({.processes = 2});
    pool.apply(increment, 1);
  });
  {
    procpool::pool pool({.processes = 2, .max_tasks_per_child = 1});
    rows.rate("fresh", [&](ints xs) { return pool.map(increment, xs).back(); });
  }

  procpool::pool pool({.processes = 2});
  rows.apply([&](int x) { return pool.apply(increment, x); });
  rows.rate("apply_async", [&](ints xs) {
    std::vector<procpool::async_result<int>> results;
    for (int x : xs) results.push_back(pool.apply_async(increment, x));
    int y = 0;
    for (auto& r : results) y = r.get();
    return y;
  });
  rows.rate("map", [&](ints xs) { return pool.map(increment, xs).back(); });
  const auto last_of_imap = [&](std::size_t chunksize, ints xs) {
    int last = 0;
    for (int y : pool.imap({.chunksize = chunksize}, increment, xs)) last = y;
    return last;
  };
  rows.rate("imap", [&](ints xs) { return last_of_imap(0, xs); });
  rows.rate("imap_1", [&](ints xs) { return last_of_imap(1, xs); });
  rows.echo([&](const blob& b) { return pool.apply(peers::same, b); });
  rows.skewed([&](ints xs) { return pool.map(doze, xs); });
}
