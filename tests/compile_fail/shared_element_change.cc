// SPDX-License-Identifier: MIT
// All workers have the same memory: nobody writes to it.
// EXPECT: read-only|const
#include <procpool/procpool.h>

#include <vector>

int main() {
  procpool::pool pool(1);
  auto h = pool.share(std::vector<int>{1});
  pool.apply([h] { (*h)[0] = 2; });
}
