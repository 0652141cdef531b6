// SPDX-License-Identifier: MIT
// A lambda may not capture by reference.
// EXPECT: procpool: this callable captures by reference or holds a pointer
#include <procpool/procpool.h>

#include <vector>

int main() {
  procpool::pool pool(1);
  std::vector<int> xs{1};
  int k = 2;
  pool.map([&](int x) { return x * k; }, xs);
}
