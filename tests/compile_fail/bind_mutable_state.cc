// SPDX-License-Identifier: MIT
// State is common to the items of a call: it does not change.
// EXPECT: procpool: the callable takes a non-const reference
#include <procpool/procpool.h>

#include <vector>

int main() {
  procpool::pool pool(1);
  std::vector<int> xs{1};
  pool.map(
      procpool::bind([](std::vector<int>& seen, int x) { seen.push_back(x); }, std::vector<int>{}),
      xs);
}
