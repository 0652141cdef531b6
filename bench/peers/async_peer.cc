// SPDX-License-Identifier: MIT
// std::async: a thread for each call, and no isolation. A map is two calls, each of one half.
#include <cstddef>
#include <future>
#include <utility>
#include <vector>

#include "rows.h"

namespace {

using peers::blob;
using peers::doze;
using peers::increment;
using ints = std::vector<int>;

template <class F, class... A>
auto thread_for(F f, A&&... args) {
  return std::async(std::launch::async, f, std::forward<A>(args)...);
}

int last_of_many(const ints& xs) {
  std::vector<std::future<int>> results;
  for (int x : xs) results.push_back(thread_for(increment, x));
  int y = 0;
  for (auto& r : results) y = r.get();
  return y;
}

template <class F>
ints map(F f, const ints& xs) {
  ints ys(xs.size());
  const auto part = [&](std::size_t from, std::size_t to) {
    for (std::size_t i = from; i < to; ++i) ys[i] = f(xs[i]);
  };
  auto first = thread_for(part, std::size_t{0}, xs.size() / 2);
  auto second = thread_for(part, xs.size() / 2, xs.size());
  first.get();
  second.get();
  return ys;
}

}  // namespace

int main(int argc, char** argv) {
  peers::rows rows("std::async", "g++ " __VERSION__, argc, argv);
  rows.apply([](int x) { return thread_for(increment, x).get(); });
  rows.rate("apply_async", last_of_many);
  rows.rate("map", [](const ints& xs) { return map(increment, xs).back(); });
  rows.absent("imap", "std::async has no sequence of results");
  rows.absent("imap_1", "std::async has no sequence of results");
  rows.echo([](const blob& b) { return thread_for(peers::same, b).get(); });
  rows.skewed([](const ints& xs) { return map(doze, xs); });
  rows.absent("up_down", "std::async has no pool");
  rows.absent("fresh", "each call has a fresh thread: see apply_async");
}
