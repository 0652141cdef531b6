// SPDX-License-Identifier: MIT
// The same five calls without waiting in between: four run side by side, the fifth takes the place
// of the first that ends. then() runs a callback in this process as soon as its result is there.
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <thread>
#include <vector>

#include "procpool/procpool.h"

using namespace std::chrono_literals;
using seconds = std::chrono::duration<double>;

static const auto start = std::chrono::steady_clock::now();

static int square(int x) {
  std::printf("pid %d  argument %d  time %.1f s\n", getpid(), x,
              seconds(std::chrono::steady_clock::now() - start).count());
  std::this_thread::sleep_for(500ms);
  return x * x;
}

int main() {
  procpool::pool pool(4);
  std::vector<procpool::async_result<int>> results;
  for (int i = 0; i < 5; ++i)
    results.push_back(pool.apply_async(square, i).then([](int result) {
      std::printf("callback in pid %d: %d\n", getpid(), result);
      return result;
    }));
  std::printf("pid %d has made 5 calls and goes on\n", getpid());

  for (std::size_t i = 0; i < results.size(); ++i)
    std::printf("%zu squared is %d\n", i, results[i].get());
}
