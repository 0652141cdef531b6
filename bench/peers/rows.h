// SPDX-License-Identifier: MIT
// What the C++ peers say: each row is one JSON line on stdout, the median of some repeats. rows.py
// is the same in Python.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <numeric>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "measure.h"
#include "work.h"

namespace peers {

class rows {
 public:
  rows(const char* peer, std::string version, int argc, char** argv)
      : measure_(argc > 1 && std::string_view(argv[1]) == "--quick"),
        head_(R"({"peer": ")" + std::string(peer) + R"(", "version": ")" + std::move(version)) {}

  void absent(const char* work, const char* reason) {
    std::printf("%s\", \"work\": \"%s\", \"skipped\": \"%s\"}\n", head_.c_str(), work, reason);
    std::fflush(stdout);
  }

  template <class Call>
  void apply(Call call) {
    std::vector<double> times;
    const auto some = [&](int n) {
      times.clear();
      for (int x = 0; x < n; ++x) times.push_back(seconds([&] { call(x); }));
    };
    const int n =
        measure_.sized([&](int m) { return seconds([&] { some(m); }); }, measure_.most / 10);
    std::vector<double> p99;
    row("apply_p50", "s", measure_.repeat([&] {
      some(n);
      std::sort(times.begin(), times.end());
      p99.push_back(times[static_cast<std::size_t>(0.99 * (n - 1))]);
      return times[static_cast<std::size_t>(0.5 * (n - 1))];
    }));
    row("apply_p99", "s", p99);
  }

  /// `last_of` makes many ints one larger, and returns the last.
  template <class Call>
  void rate(const char* work, Call last_of) {
    const auto some = [&](int n) {
      std::vector<int> xs(static_cast<std::size_t>(n));
      std::iota(xs.begin(), xs.end(), 0);
      int y = 0;
      const double took = seconds([&] { y = last_of(std::as_const(xs)); });
      if (y != n) throw std::logic_error(work);
      return took;
    };
    const int n = measure_.sized(some, measure_.most);
    row(work, "items/s", measure_.repeat([&] { return n / some(n); }));
  }

  template <class Call>
  void echo(Call call) {
    echo_of("echo_1MiB", mebibyte, call);
    echo_of("echo_64MiB", measure_.large, call);
  }

  template <class Call>
  void skewed(Call call) {
    const auto once = [&] { call(std::as_const(measure_.skewed)); };
    once();
    row("skewed", "ratio", measure_.repeat([&] { return seconds(once) / measure_.greedy(); }));
  }

  template <class Call>
  void up_down(Call call) {
    call();
    row("up_down", "s", measure_.repeat([&] { return seconds(call); }));
  }

 private:
  template <class Call>
  void echo_of(const char* work, std::size_t size, Call& call) {
    const blob sent(size, 1);
    const auto some = [&](int n) {
      return seconds([&] {
        for (int i = 0; i < n; ++i)
          if (call(sent).size() != size) throw std::logic_error(work);
      });
    };
    const int n = measure_.sized(some, 1'000);
    // Each byte counts once on its way there and once on its way back.
    const double bytes = 2.0 * static_cast<double>(size) * n;
    row(work, "B/s", measure_.repeat([&] { return bytes / some(n); }));
  }

  void row(const char* work, const char* unit, const std::vector<double>& values) {
    std::vector<double> sorted = values;
    std::sort(sorted.begin(), sorted.end());
    const double median = (sorted[(sorted.size() - 1) / 2] + sorted[sorted.size() / 2]) / 2;
    std::printf(R"(%s", "work": "%s", "value": %.6g, "unit": "%s", "n": %zu, "all": [)",
                head_.c_str(), work, median, unit, values.size());
    for (const double& v : values) std::printf("%s%.6g", &v == values.data() ? "" : ", ", v);
    std::printf("]}\n");
    std::fflush(stdout);
  }

  measure measure_;
  std::string head_;
};

}  // namespace peers
