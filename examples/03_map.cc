// SPDX-License-Identifier: MIT
// range(10) on four processes: they work in rounds of four, four and two, and the results come in
// the order of the input.
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <numeric>
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
  std::vector<int> range(10);
  std::iota(range.begin(), range.end(), 0);

  procpool::pool pool(4);
  std::vector<int> squares = pool.map(square, range);

  std::printf("squares:");
  for (int s : squares) std::printf(" %d", s);
  std::printf("\n");
}
