// SPDX-License-Identifier: MIT
// The callable does not take what it is given.
// EXPECT: procpool: the callable cannot be called with these argument types
#include <procpool/procpool.h>

#include <string>
#include <vector>

int main() {
  procpool::pool pool(1);
  std::vector<int> xs{1};
  pool.map([](std::string s) { return s; }, xs);
}
