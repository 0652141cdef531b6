// SPDX-License-Identifier: MIT
// A pointer is not the value.
// EXPECT: procpool: this type cannot be shared
#include <procpool/procpool.h>

#include <vector>

int main() {
  procpool::pool pool(1);
  std::vector<int> xs{1};
  auto h = pool.share(&xs);
}
