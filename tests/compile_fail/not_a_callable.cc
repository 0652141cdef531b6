// SPDX-License-Identifier: MIT
// What is passed as the callable is none.
// EXPECT: procpool: this is not a callable
#include <procpool/procpool.h>

#include <vector>

int main() {
  procpool::pool pool(1);
  std::vector<int> xs{1};
  pool.map(5, xs);
}
