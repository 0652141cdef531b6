// SPDX-License-Identifier: MIT
// Without its handle a shared value is lost.
// EXPECT: nodiscard|ignoring
#include <procpool/procpool.h>

int main() {
  procpool::pool pool(1);
  pool.share(1);
}
