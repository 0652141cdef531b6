// SPDX-License-Identifier: MIT
// bind does not make a callable better than it is.
// EXPECT: procpool: this callable captures by reference or holds a pointer
#include <procpool/procpool.h>

#include <vector>

int main() {
  procpool::pool pool(1);
  std::vector<int> xs{1};
  int k = 2;
  pool.map(procpool::bind([&k](int s, int x) { return s * x * k; }, 3), xs);
}
