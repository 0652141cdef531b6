// SPDX-License-Identifier: MIT
// A pointer may not be an argument.
// EXPECT: procpool: a pointer cannot be an argument
#include <procpool/procpool.h>

int main() {
  procpool::pool pool(1);
  int k = 1;
  pool.apply([](int* p) { return *p; }, &k);
}
