// SPDX-License-Identifier: MIT
// What is bound is sent: a pointer cannot be.
// EXPECT: procpool: a pointer cannot be an argument, or a state of bind
#include <procpool/procpool.h>

#include <vector>

int main() {
  procpool::pool pool(1);
  std::vector<int> xs{1};
  pool.map(procpool::bind([](const int* t, int x) { return t[x]; }, xs.data()), xs);
}
