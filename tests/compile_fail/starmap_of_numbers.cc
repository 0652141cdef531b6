// SPDX-License-Identifier: MIT
// starmap wants tuples.
// EXPECT: procpool: starmap wants a range of tuples, pairs or arrays
#include <procpool/procpool.h>

#include <vector>

int main() {
  procpool::pool pool(1);
  std::vector<int> xs{1};
  pool.starmap([](int x) { return x; }, xs);
}
