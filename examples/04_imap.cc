// SPDX-License-Identifier: MIT
// imap gives each result as soon as it and those before it are there; next() gives nothing at the
// end. What fails throws at its place, and the others come all the same.
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <optional>
#include <stdexcept>
#include <thread>
#include <vector>

#include "procpool/procpool.h"

using namespace std::chrono_literals;
using seconds = std::chrono::duration<double>;

static const auto start = std::chrono::steady_clock::now();

static int square(int x) {
  std::printf("pid %d  argument %d  time %.1f s\n", getpid(), x,
              seconds(std::chrono::steady_clock::now() - start).count());
  std::this_thread::sleep_for(200ms);
  if (x == 4) throw std::domain_error("I do not like 4");
  return x * x;
}

int main() {
  std::vector<int> range{0, 1, 2, 3, 4, 5, 6, 7};

  procpool::pool pool(4);
  auto squares = pool.imap(square, range);
  for (;;) {
    try {
      std::optional<int> next = squares.next();
      if (!next) break;
      std::printf("next: %d\n", *next);
    } catch (const std::domain_error& e) {
      std::printf("next: %s\n", e.what());
    }
  }
  std::printf("the end\n");
}
