// SPDX-License-Identifier: MIT
// map wants ranges.
// EXPECT: procpool: map and its kin want a callable and one or more ranges
#include <procpool/procpool.h>

int main() {
  procpool::pool pool(1);
  pool.map([](int x) { return x; }, 5);
}
