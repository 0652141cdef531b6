// SPDX-License-Identifier: MIT
// A pool made by a process that has 4 GB in use: a fork copies its page tables, once for the zygote
// and once for each worker; forkserver executes the program again and copies nothing.
#include <benchmark/benchmark.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstddef>
#include <new>

#include "procpool/procpool.h"
#include "raw.h"
#include "table.h"

namespace {

using procpool::start_method;

int increment(int x) { return x + 1; }

/// 4 GB that have been written to, in pages of 4 KiB, as heaps are unless told otherwise.
class weight {
 public:
  weight() {
    at_ = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at_ == MAP_FAILED) throw std::bad_alloc();
    madvise(at_, bytes, MADV_NOHUGEPAGE);
    madvise(at_, bytes, MADV_POPULATE_WRITE);
  }
  weight(const weight&) = delete;
  weight& operator=(const weight&) = delete;
  ~weight() { munmap(at_, bytes); }

 private:
  static constexpr std::size_t bytes = std::size_t{4} << 30;
  void* at_;
};

template <class Once>
void heavy(benchmark::State& state, Once once) {
  const weight w;
  bench::samples took;
  for (auto _ : state) {
    const auto start = bench::clock::now();
    once();
    took.add(bench::clock::now() - start);
  }
  bench::say_quantiles(state, took);
}

void heavy_pool(benchmark::State& state, start_method method) {
  heavy(state, [method] {
    procpool::pool pool({.processes = 2, .start_method = method});
    benchmark::DoNotOptimize(pool.apply(increment, 1));
  });
}
void heavy_fork(benchmark::State& state) { heavy_pool(state, start_method::fork); }
void heavy_forkserver(benchmark::State& state) { heavy_pool(state, start_method::forkserver); }
void heavy_fork_exit_wait(benchmark::State& state) {
  heavy(state, [] {
    const pid_t pid = fork();
    if (pid == 0) _exit(0);
    waitpid(pid, nullptr, 0);
  });
}

// Once, for it takes seconds to have 4 GB.
BENCHMARK(heavy_fork)->Iterations(15)->Repetitions(1)->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK(heavy_forkserver)
    ->Iterations(15)
    ->Repetitions(1)
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);
BENCHMARK(heavy_fork_exit_wait)
    ->Iterations(15)
    ->Repetitions(1)
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

using enum bench::quantity;
const bench::compare forked({"pool of 2 up, a task, down; 4 GB", p50, "heavy_fork",
                             "heavy_fork_exit_wait", "one fork, exit, waitpid; 4 GB"});
const bench::compare served({"the same by forkserver; 4 GB", p50, "heavy_forkserver",
                             "heavy_fork_exit_wait", "one fork, exit, waitpid; 4 GB"});

}  // namespace
