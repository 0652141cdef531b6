// SPDX-License-Identifier: MIT
// An overloaded name is no value: the compiler says so itself.
// EXPECT: unresolved overloaded function type|no matching member function
#include <procpool/procpool.h>

#include <vector>

int twice(int x) { return 2 * x; }
double twice(double x) { return 2 * x; }

int main() {
  procpool::pool pool(1);
  std::vector<int> xs{1};
  pool.map(twice, xs);
}
