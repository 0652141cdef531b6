// SPDX-License-Identifier: MIT
// An initializer is a call like any other.
// EXPECT: procpool: this callable captures by reference or holds a pointer
#include <procpool/procpool.h>

int main() {
  int k = 0;
  procpool::task setup([&k] { ++k; });
}
