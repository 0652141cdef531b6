// SPDX-License-Identifier: MIT
// A user's first program; built against the library in each way it can be had.
#include <procpool/procpool.h>

#include <cstdio>
#include <vector>

namespace {
int square(int x) { return x * x; }
}  // namespace

int main() {
  procpool::pool pool(2);
  const std::vector<int> squares = pool.map(square, std::vector<int>{1, 2, 3, 4});
  for (const int y : squares) std::printf("%d\n", y);
}
