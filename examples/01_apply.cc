// SPDX-License-Identifier: MIT
// Five calls on four processes. apply() waits for each, so they run one after the other, and a
// fifth call finds a process that has worked before.
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <thread>

#include "procpool/procpool.h"

using namespace std::chrono_literals;
using seconds = std::chrono::duration<double>;

// Workers are forked from this process and see its globals as they are when the pool is made.
static const auto start = std::chrono::steady_clock::now();

static int square(int x) {
  std::printf("pid %d  argument %d  time %.1f s\n", getpid(), x,
              seconds(std::chrono::steady_clock::now() - start).count());
  std::this_thread::sleep_for(200ms);
  return x * x;
}

int main() {
  procpool::pool pool(4);
  for (int i = 0; i < 5; ++i) {
    int result = pool.apply(square, i);
    std::printf("%d squared is %d\n", i, result);
  }
}
