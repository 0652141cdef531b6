// SPDX-License-Identifier: MIT
// Large arguments and results. A vector that is sent and comes back is copied four times: into
// shared memory, out of it, in again, out again; the same by hand does so between kept buffers.
#include <benchmark/benchmark.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>
#include <vector>

#include "procpool/procpool.h"
#include "raw.h"
#include "table.h"

namespace {

using namespace std::chrono_literals;
using blob = std::vector<std::uint8_t>;
constexpr std::size_t mebibyte = std::size_t{1} << 20;

blob same(blob b) { return b; }

void say_bytes(benchmark::State& state, std::size_t size) {
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(2 * size));
}

void echo(benchmark::State& state, std::size_t size) {
  procpool::pool pool(1);
  const blob sent(size, 1);
  pool.apply(same, sent);  // memory is warm afterwards
  for (auto _ : state) benchmark::DoNotOptimize(pool.apply(same, sent).data());
  say_bytes(state, size);
}

void four_copies(benchmark::State& state, std::size_t size) {
  bench::shared<bench::two_words> words(size);
  std::byte* const arena = words.behind();
  blob theirs(size, 2);
  bench::partner child([&] {
    for (std::uint32_t n = 1;; ++n) {
      words->there.wait_for(n, 20us);
      std::memcpy(theirs.data(), arena, size);
      std::memcpy(arena, theirs.data(), size);
      words->back.set(n);
    }
  });
  const blob sent(size, 1);
  blob received(size, 2);
  std::uint32_t n = 0;
  const auto round = [&] {
    std::memcpy(arena, sent.data(), size);
    words->there.set(++n);
    words->back.wait_for(n, 20us);
    std::memcpy(received.data(), arena, size);
    benchmark::DoNotOptimize(received.data());
  };
  round();  // memory is warm afterwards
  for (auto _ : state) round();
  say_bytes(state, size);
}

/// Two copies: what no scheme that keeps both sides' memory apart can go below.
void two_copies(benchmark::State& state, std::size_t size) {
  const blob sent(size, 1);
  blob middle(size, 2);
  blob received(size, 2);
  for (auto _ : state) {
    std::memcpy(middle.data(), sent.data(), size);
    benchmark::DoNotOptimize(middle.data());
    std::memcpy(received.data(), middle.data(), size);
    benchmark::DoNotOptimize(received.data());
  }
  say_bytes(state, size);
}

void echo_1(benchmark::State& state) { echo(state, mebibyte); }
void four_copies_1(benchmark::State& state) { four_copies(state, mebibyte); }
void two_copies_1(benchmark::State& state) { two_copies(state, mebibyte); }
void echo_64(benchmark::State& state) { echo(state, 64 * mebibyte); }
void four_copies_64(benchmark::State& state) { four_copies(state, 64 * mebibyte); }
void two_copies_64(benchmark::State& state) { two_copies(state, 64 * mebibyte); }

BENCHMARK(echo_1)->UseRealTime()->Unit(benchmark::kMicrosecond);
BENCHMARK(four_copies_1)->UseRealTime()->Unit(benchmark::kMicrosecond);
BENCHMARK(two_copies_1)->UseRealTime()->Unit(benchmark::kMicrosecond);
BENCHMARK(echo_64)->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK(four_copies_64)->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK(two_copies_64)->UseRealTime()->Unit(benchmark::kMillisecond);

using enum bench::quantity;
const bench::compare small({"echo of 1 MiB", bytes_per_second, "echo_1", "four_copies_1",
                            "four copies through a kept arena"});
const bench::compare small_copy({"echo of 1 MiB", bytes_per_second, "echo_1", "two_copies_1",
                                 "memcpy there and back, one process"});
const bench::compare large({"echo of 64 MiB", bytes_per_second, "echo_64", "four_copies_64",
                            "four copies through a kept arena"});
const bench::compare large_copy({"echo of 64 MiB", bytes_per_second, "echo_64", "two_copies_64",
                                 "memcpy there and back, one process"});

}  // namespace
