// SPDX-License-Identifier: MIT
// The tasks and inputs that most tests of the contract use.
#pragma once

#include <unistd.h>

#include <algorithm>
#include <numeric>
#include <optional>
#include <utility>
#include <vector>

#include "procpool/procpool.h"
#include "support/board.h"

namespace procpool::testing {

using ints = std::vector<int>;

inline int square(int x) { return x * x; }
inline int sum(int a, int b) { return a + b; }

/// 0, 1, … n-1
inline ints first(int n) {
  ints xs(static_cast<std::size_t>(n));
  std::iota(xs.begin(), xs.end(), 0);
  return xs;
}
inline ints squares(int n) {
  ints xs = first(n);
  std::transform(xs.begin(), xs.end(), xs.begin(), square);
  return xs;
}

/// Never ends by itself.
inline void for_ever() {
  for (;;) ::usleep(1000);
}

/// A task that adds to mark 1, and gives its argument back once mark 0 is set.
inline auto waits(const board& b) {
  return [m = b.here()](int x) {
    m.add(1);
    m.await(0);
    return x;
  };
}

template <class R>
std::vector<R> rest_of(result_stream<R>& stream) {
  std::vector<R> all;
  while (auto r = stream.next()) all.push_back(*std::move(r));
  return all;
}
template <class R>
std::vector<R> sorted(std::vector<R> v) {
  std::sort(v.begin(), v.end());
  return v;
}

/// Either kind of stream: both keep most promises. imap_of(pool, arguments...).
struct either {
  bool ordered;
  template <class... A>
  auto operator()(pool& p, A&&... a) const {
    return ordered ? p.imap(std::forward<A>(a)...) : p.imap_unordered(std::forward<A>(a)...);
  }
};
inline constexpr either both[] = {{true}, {false}};

}  // namespace procpool::testing
