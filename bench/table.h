// SPDX-License-Identifier: MIT
// What is compared with what: each benchmark file names its rows, main() prints them after the run.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace bench {

/// What of a benchmark's medians is compared; a rate is better when large, all else when
/// small.
enum class quantity { p50, p99, time, tasks_per_second, bytes_per_second, private_bytes };

/// As a row's `raw`: its own benchmark timed both in turn, and has by_hand_p50 and by_hand_p99.
inline constexpr const char* by_hand = "";

struct row {
  std::string name;
  quantity what;
  std::string ours;  ///< the benchmark's name
  std::string raw;   ///< what the same costs by hand, in the same run
  std::string raw_is;
};

std::vector<row>& rows();

/// A file-scope `static bench::compare x(...)` adds a row.
struct compare {
  explicit compare(row r) { rows().push_back(std::move(r)); }
};

}  // namespace bench
