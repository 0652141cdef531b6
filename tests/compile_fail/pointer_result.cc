// SPDX-License-Identifier: MIT
// A pointer may not be a result.
// EXPECT: procpool: a pointer cannot be a result
#include <procpool/procpool.h>

#include <vector>

int main() {
  procpool::pool pool(1);
  std::vector<int> xs{1};
  pool.map([](int) -> int* { return nullptr; }, xs);
}
