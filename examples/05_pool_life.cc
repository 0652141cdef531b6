// SPDX-License-Identifier: MIT
// A pool's life: what each process does first, how many tasks it lives for, and two ways to end:
// close() finishes what was asked for, terminate() does not. join() waits for the processes.
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <thread>
#include <vector>

#include "procpool/procpool.h"

using namespace std::chrono_literals;
using seconds = std::chrono::duration<double>;

static const auto start = std::chrono::steady_clock::now();
static int offset = 0;  // each process has its own

static double now() { return seconds(std::chrono::steady_clock::now() - start).count(); }

static void prepare(int value) {
  offset = value;
  std::printf("initializer: pid %d  time %.1f s\n", getpid(), now());
}

static int work(int x) {
  std::printf("pid %d  argument %d  time %.1f s\n", getpid(), x, now());
  std::this_thread::sleep_for(50ms);
  return x + offset;
}

int main() {
  procpool::pool pool({
      .processes = 2,
      .initializer = procpool::task(prepare, 1000),
      .max_tasks_per_child = 2,
  });
  std::vector<procpool::async_result<int>> results;
  for (int i = 0; i < 8; ++i) results.push_back(pool.apply_async(work, i));

  pool.close();
  try {
    pool.apply(work, 8);
  } catch (const procpool::pool_closed& e) {
    std::printf("after close(): %s\n", e.what());
  }
  pool.join();
  for (auto& r : results) std::printf("result %d\n", r.get());

  procpool::pool other(2);
  auto endless = other.apply_async([] { std::this_thread::sleep_for(1h); });
  other.terminate();
  other.join();
  try {
    endless.get();
  } catch (const procpool::pool_terminated& e) {
    std::printf("after terminate(): %s  time %.1f s\n", e.what(), now());
  }
}
