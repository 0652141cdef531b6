// SPDX-License-Identifier: MIT
// Changes to an element would be lost.
// EXPECT: procpool: the callable takes a non-const reference
#include <procpool/procpool.h>

#include <vector>

int main() {
  procpool::pool pool(1);
  std::vector<int> xs{1};
  pool.map([](int& x) { ++x; }, xs);
}
