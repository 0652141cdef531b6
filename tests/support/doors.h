// SPDX-License-Identifier: MIT
// Tasks that wait in a worker until the test opens their door: a mark of the board.
#pragma once

#include <cstddef>
#include <stdexcept>
#include <vector>

#include "procpool/procpool.h"
#include "support/board.h"

namespace procpool::testing {

/// Gives x once mark x is set.
inline auto opens(const board& b) {
  return [m = b.here()](int x) {
    m.await(static_cast<std::size_t>(x));
    return x;
  };
}
/// Throws std::domain_error then.
inline auto fails_once_open(const board& b) {
  return [m = b.here()](int x) -> int {
    m.await(static_cast<std::size_t>(x));
    throw std::domain_error("opened");
  };
}

using results = std::vector<async_result<int>>;

/// One behind each of the doors 0 … n-1. With fewer workers than doors some wait in the queue.
inline results pending(pool& p, const board& b, int n) {
  results all;
  for (int i = 0; i < n; ++i) all.push_back(p.apply_async(opens(b), i));
  return all;
}
inline void open_all(const board& b, int n) {
  for (int i = 0; i < n; ++i) b->set(static_cast<std::size_t>(i));
}

}  // namespace procpool::testing
