// SPDX-License-Identifier: MIT
// No overload takes what is there.
// EXPECT: procpool: the callable cannot be called with these argument types
#include <procpool/procpool.h>

#include <string>
#include <vector>

int twice(int x) { return 2 * x; }
double twice(double x) { return 2 * x; }

int main() {
  procpool::pool pool(1);
  std::vector<std::string> xs{"a"};
  pool.map(PROCPOOL_LIFT(twice), xs);
}
