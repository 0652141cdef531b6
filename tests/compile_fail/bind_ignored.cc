// SPDX-License-Identifier: MIT
// bind alone calls nothing.
// EXPECT: nodiscard|ignoring
#include <procpool/procpool.h>

int main() {
  procpool::bind([](int) {}, 1);
}
