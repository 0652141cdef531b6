// SPDX-License-Identifier: MIT
// How the C++ peers are measured, and how much work they get; rows.py is the same in Python.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <utility>
#include <vector>

#include "work.h"

namespace peers {

template <class Call>
double seconds(Call call) {
  const auto start = std::chrono::steady_clock::now();
  call();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

struct measure {
  explicit measure(bool quick_run)
      : quick(quick_run),
        target(quick ? 0.01 : 0.3),
        most(quick ? 1'000 : 1'000'000),
        large((quick ? 4 : 64) * mebibyte),
        skewed(200, 2'000) {
    for (int ms : {20, 60, 25, 55, 30, 50, 35, 45, 300}) skewed.push_back(1'000 * ms);
    if (quick)
      for (int& us : skewed) us /= 20;
  }
  /// Seconds that two workers need who take `skewed` in order, one at a time, at no cost.
  [[nodiscard]] double greedy() const {
    std::pair<int, int> busy;
    for (int us : skewed) (busy.first <= busy.second ? busy.first : busy.second) += us;
    return std::max(busy.first, busy.second) * 1e-6;
  }

  /// What `once` returns, 3 times or for half a second, whichever is more; 50 at most.
  template <class Once>
  std::vector<double> repeat(Once once) {
    std::vector<double> values;
    double took = seconds([&] { values.push_back(once()); });
    while (!quick && values.size() < 50 && (values.size() < 3 || took < 0.5))
      took += seconds([&] { values.push_back(once()); });
    return values;
  }

  /// So large an n that some(n), in seconds, is about the target. Finding it warms everything up.
  template <class Some>
  int sized(Some some, int limit) {
    int n = 4;
    some(n);  // workers that start only now would count
    double took = some(n);
    while (took < target / 4 && n < limit) took = some(n = std::min(4 * n, limit));
    return std::clamp(static_cast<int>(n * std::min(target / took, 1e3)), 1, limit);
  }

  bool quick;               ///< tiny sizes, one repeat
  double target;            ///< seconds that one repeat of a rate shall take
  int most;                 ///< items in one repeat
  std::size_t large;        ///< bytes of the large blob
  std::vector<int> skewed;  ///< microseconds: many short ones, some long ones, the longest last
};

}  // namespace peers
