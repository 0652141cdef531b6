// SPDX-License-Identifier: MIT
// A result that nobody takes is a mistake.
// EXPECT: nodiscard|ignoring
#include <procpool/procpool.h>

int main() {
  procpool::pool pool(1);
  pool.apply_async([] {});
}
