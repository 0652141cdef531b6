// SPDX-License-Identifier: MIT
// Google Benchmark's own main, and a table behind it: what procpool costs, what the same costs by
// hand, and how many times as much that is. All flags are Google Benchmark's; JSON is written with
// --benchmark_out=FILE (its format is JSON unless told otherwise).
#include <benchmark/benchmark.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "procpool/init.h"
#include "table.h"

namespace bench {

std::vector<row>& rows() {
  static std::vector<row> all;
  return all;
}

namespace {

/// Keeps the medians, and prints them alone, as Google Benchmark does.
class keeper final : public benchmark::ConsoleReporter {
 public:
  keeper() : ConsoleReporter(isatty(1) == 1 ? OO_Defaults : OO_None) {}
  void ReportRuns(const std::vector<Run>& runs) override {
    std::vector<Run> told;
    for (const Run& r : runs) {
      // With --benchmark_repetitions=1 there are no aggregates.
      if (r.run_type == Run::RT_Aggregate && r.aggregate_name != "median") continue;
      told.push_back(r);
      if (!r.error_occurred) kept_[r.run_name.function_name] = r;
    }
    if (!told.empty()) ConsoleReporter::ReportRuns(told);
  }
  /// With a prefix: of the same benchmark's counters of that kind.
  [[nodiscard]] std::optional<double> find(const std::string& name, quantity what,
                                           const std::string& prefix = {}) const {
    const auto at = kept_.find(name);
    if (at == kept_.end()) return std::nullopt;
    const Run& r = at->second;
    const auto counter = [&](const char* key) -> std::optional<double> {
      const auto c = r.counters.find(prefix + key);
      if (c == r.counters.end()) return std::nullopt;
      return c->second.value;
    };
    switch (what) {
      case quantity::p50:
        return counter("p50");
      case quantity::p99:
        return counter("p99");
      case quantity::tasks_per_second:
        return counter("items_per_second");
      case quantity::bytes_per_second:
        return counter("bytes_per_second");
      case quantity::private_bytes:
        return counter("private");
      case quantity::time:
        return r.GetAdjustedRealTime() / benchmark::GetTimeUnitMultiplier(r.time_unit);
    }
    return std::nullopt;
  }

 private:
  std::map<std::string, Run> kept_;
};

std::string scaled(double value, const char* unit) {
  struct scale {
    double of;
    const char* prefix;
  };
  constexpr std::array<scale, 7> scales{
      {{1e9, "G"}, {1e6, "M"}, {1e3, "k"}, {1, ""}, {1e-3, "m"}, {1e-6, "u"}, {1e-9, "n"}}};
  for (const scale& s : scales) {
    if (value < s.of && s.of != scales.back().of) continue;
    std::array<char, 32> text{};
    std::snprintf(text.data(), text.size(), "%.3g %s%s", value / s.of, s.prefix, unit);
    return text.data();
  }
  return {};
}

std::string said(double value, quantity what) {
  switch (what) {
    case quantity::tasks_per_second:
      return scaled(value, "/s");
    case quantity::bytes_per_second:
      return scaled(value, "B/s");
    case quantity::private_bytes:
      return scaled(value, "B");
    default:
      return scaled(value, "s");
  }
}

void print_table(const keeper& kept) {
  bool headed = false;
  for (const row& r : rows()) {
    const auto ours = kept.find(r.ours, r.what);
    const auto raw =
        r.raw == by_hand ? kept.find(r.ours, r.what, "by_hand_") : kept.find(r.raw, r.what);
    if (!ours || !raw) continue;  // left out by --benchmark_filter
    if (!std::exchange(headed, true))
      std::printf("\n%-34s %12s %12s %8s  %s\n", "name", "ours", "raw", "ratio", "raw is");
    const bool rate = r.what == quantity::tasks_per_second || r.what == quantity::bytes_per_second;
    std::printf("%-34s %12s %12s %8.2f  %s\n", r.name.c_str(), said(*ours, r.what).c_str(),
                said(*raw, r.what).c_str(), rate ? *raw / *ours : *ours / *raw, r.raw_is.c_str());
  }
  if (headed) std::puts("ratio: how many times as much of time or memory ours takes; medians");
}

}  // namespace
}  // namespace bench

int main(int argc, char** argv) {
  procpool::init(argc, argv);
  if (argc == 2 && std::string_view(argv[1]) == "--nothing") return 0;
  // Three short repetitions unless told otherwise, and of those the median.
  std::vector<char*> arguments(argv, argv + argc);
  std::array<std::string, 3> defaults{"--benchmark_repetitions=3", "--benchmark_min_time=0.3",
                                      "--benchmark_report_aggregates_only=true"};
  for (std::string& flag : defaults) arguments.insert(arguments.begin() + 1, flag.data());
  argc = static_cast<int>(arguments.size());
  arguments.push_back(nullptr);
  argv = arguments.data();
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  bench::keeper kept;
  benchmark::RunSpecifiedBenchmarks(&kept);
  bench::print_table(kept);
}
