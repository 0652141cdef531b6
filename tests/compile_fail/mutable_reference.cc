// SPDX-License-Identifier: MIT
// Changes to an argument would be lost.
// EXPECT: procpool: the callable takes a non-const reference
#include <procpool/procpool.h>

#include <vector>

int main() {
  procpool::pool pool(1);
  std::vector<int> v;
  pool.apply([](std::vector<int>& to) { to.push_back(1); }, v);
}
