// SPDX-License-Identifier: MIT
// An initializer's arguments are sent like any others.
// EXPECT: procpool: a pointer cannot be an argument
#include <procpool/procpool.h>

int main() {
  int k = 0;
  procpool::pool pool{{.initializer = procpool::task([](int*) {}, &k)}};
}
