// SPDX-License-Identifier: MIT
// An argument may not hold a pointer.
// EXPECT: procpool: this argument type cannot be sent
#include <procpool/procpool.h>

struct weights {
  double* data;
  int n;
};

int main() {
  procpool::pool pool(1);
  pool.apply([](weights) {}, weights{});
}
