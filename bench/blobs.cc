// SPDX-License-Identifier: MIT
// Large arguments and results. A vector that is sent and comes back is copied four times: into
// shared memory, out of it, in again, out again. By hand there are two such: with vectors that are
// fresh in every round, as the user's function and pool.apply have them, and between kept buffers.
#include <benchmark/benchmark.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <numeric>
#include <span>
#include <utility>
#include <vector>

#include "memory.h"
#include "procpool/procpool.h"
#include "raw.h"
#include "table.h"

namespace {

using namespace std::chrono_literals;
using blob = std::vector<std::uint8_t>;
using numbers = std::span<const std::uint64_t>;
constexpr std::size_t mebibyte = std::size_t{1} << 20;
constexpr std::size_t many = 128 * mebibyte;  // numbers: 1 GiB

blob same(blob b) { return b; }

void say_bytes(benchmark::State& state, std::size_t size) {
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(2 * size));
}

void echo(benchmark::State& state, std::size_t size) {
  procpool::pool pool(2);
  const blob sent(size, 1);
  for (int i = 0; i < 4; ++i) pool.apply(same, sent);  // memory is warm afterwards
  for (auto _ : state) benchmark::DoNotOptimize(pool.apply(same, sent).data());
  say_bytes(state, size);
}

/// By hand: `answer(arena)` there, `receive(arena)` here.
template <class Answer, class Receive>
void four_copies(benchmark::State& state, std::size_t size, Answer answer, Receive receive) {
  bench::shared<bench::two_words> words(size);
  std::byte* const arena = words.behind();
  bench::partner child([&] {
    for (std::uint32_t n = 1;; ++n) {
      words->there.wait_for(n, 20us);
      answer(arena);
      words->back.set(n);
    }
  });
  const blob sent(size, 1);
  std::uint32_t n = 0;
  const auto round = [&] {
    std::memcpy(arena, sent.data(), size);
    words->there.set(++n);
    words->back.wait_for(n, 20us);
    receive(arena);
  };
  for (int i = 0; i < 4; ++i) round();  // memory is warm afterwards
  for (auto _ : state) round();
  say_bytes(state, size);
}

void fresh_vectors(benchmark::State& state, std::size_t size) {
  const auto fresh = [size](std::byte* arena) {
    const auto* const bytes = reinterpret_cast<const std::uint8_t*>(arena);
    blob b(bytes, bytes + size);
    benchmark::DoNotOptimize(b.data());
    return b;
  };
  four_copies(
      state, size,
      [&](std::byte* arena) {
        const blob theirs = fresh(arena);
        std::memcpy(arena, theirs.data(), size);
      },
      fresh);
}

void kept_buffers(benchmark::State& state, std::size_t size) {
  blob theirs(size, 2);
  blob received(size, 2);
  four_copies(
      state, size,
      [&](std::byte* arena) {
        std::memcpy(theirs.data(), arena, size);
        benchmark::DoNotOptimize(theirs.data());
        std::memcpy(arena, theirs.data(), size);
      },
      [&](std::byte* arena) {
        std::memcpy(received.data(), arena, size);
        benchmark::DoNotOptimize(received.data());
      });
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

std::uint64_t sum(numbers xs) { return std::accumulate(xs.begin(), xs.end(), std::uint64_t{0}); }

/// What the worker then has for itself: far below 1 GiB when it read the sum where it lay.
std::size_t private_after_sum(numbers xs) {
  benchmark::DoNotOptimize(sum(xs));
  return bench::private_bytes(getpid());
}

void say_sum(benchmark::State& state) {
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(8 * many));
}

void sum_of_span(benchmark::State& state) {
  procpool::pool pool(1);
  const std::vector<std::uint64_t> xs(many, 1);
  pool.apply(sum, xs);  // memory is warm afterwards
  for (auto _ : state)
    if (pool.apply(sum, xs) != many) state.SkipWithError("a wrong sum");
  say_sum(state);
  state.counters["worker_private"] = static_cast<double>(pool.apply(private_after_sum, xs));
}

/// By hand; `kept`: the arena's memory is kept between the rounds, else each takes fresh pages.
void copy_and_sum(benchmark::State& state, bool kept) {
  struct result : bench::two_words {
    std::uint64_t sum = 0;
  };
  bench::shared<result> r;
  bench::shared<std::byte> arena_of(8 * many);
  std::byte* const arena = &*arena_of;
  bench::partner child([&] {
    for (std::uint32_t n = 1;; ++n) {
      r->there.wait_for(n, 20us);
      r->sum = sum(numbers(reinterpret_cast<const std::uint64_t*>(arena), many));
      r->back.set(n);
    }
  });
  const std::vector<std::uint64_t> xs(many, 1);
  std::uint32_t n = 0;
  const auto round = [&] {
    std::memcpy(arena, xs.data(), 8 * many);
    r->there.set(++n);
    r->back.wait_for(n, 20us);
    if (r->sum != many) state.SkipWithError("a wrong sum");
    if (!kept) madvise(arena, 8 * many, MADV_REMOVE);
  };
  round();  // memory is warm afterwards
  for (auto _ : state) round();
  say_sum(state);
}
void copy_and_sum_kept(benchmark::State& state) { copy_and_sum(state, true); }
void copy_and_sum_fresh(benchmark::State& state) { copy_and_sum(state, false); }

void echo_1(benchmark::State& state) { echo(state, mebibyte); }
void fresh_vectors_1(benchmark::State& state) { fresh_vectors(state, mebibyte); }
void kept_buffers_1(benchmark::State& state) { kept_buffers(state, mebibyte); }
void two_copies_1(benchmark::State& state) { two_copies(state, mebibyte); }
void echo_64(benchmark::State& state) { echo(state, 64 * mebibyte); }
void fresh_vectors_64(benchmark::State& state) { fresh_vectors(state, 64 * mebibyte); }
void kept_buffers_64(benchmark::State& state) { kept_buffers(state, 64 * mebibyte); }
void two_copies_64(benchmark::State& state) { two_copies(state, 64 * mebibyte); }

BENCHMARK(echo_1)->UseRealTime()->Unit(benchmark::kMicrosecond);
BENCHMARK(fresh_vectors_1)->UseRealTime()->Unit(benchmark::kMicrosecond);
BENCHMARK(kept_buffers_1)->UseRealTime()->Unit(benchmark::kMicrosecond);
BENCHMARK(two_copies_1)->UseRealTime()->Unit(benchmark::kMicrosecond);
BENCHMARK(echo_64)->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK(fresh_vectors_64)->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK(kept_buffers_64)->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK(two_copies_64)->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK(sum_of_span)->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK(copy_and_sum_kept)->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK(copy_and_sum_fresh)->UseRealTime()->Unit(benchmark::kMillisecond);

using enum bench::quantity;
const bench::compare small({"echo of 1 MiB", bytes_per_second, "echo_1", "fresh_vectors_1",
                            "four copies, kept arena, fresh vectors"});
const bench::compare small_kept({"echo of 1 MiB", bytes_per_second, "echo_1", "kept_buffers_1",
                                 "four copies, kept arena, kept buffers"});
const bench::compare small_copy({"echo of 1 MiB", bytes_per_second, "echo_1", "two_copies_1",
                                 "memcpy there and back, one process"});
const bench::compare large({"echo of 64 MiB", bytes_per_second, "echo_64", "fresh_vectors_64",
                            "four copies, kept arena, fresh vectors"});
const bench::compare large_kept({"echo of 64 MiB", bytes_per_second, "echo_64", "kept_buffers_64",
                                 "four copies, kept arena, kept buffers"});
const bench::compare large_copy({"echo of 64 MiB", bytes_per_second, "echo_64", "two_copies_64",
                                 "memcpy there and back, one process"});
const bench::compare huge({"sum over a span of 1 GiB", bytes_per_second, "sum_of_span",
                           "copy_and_sum_kept", "memcpy into a kept arena, sum there"});
const bench::compare huge_fresh({"sum over a span of 1 GiB", bytes_per_second, "sum_of_span",
                                 "copy_and_sum_fresh", "memcpy into fresh pages, sum there"});

}  // namespace
