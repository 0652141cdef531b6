// SPDX-License-Identifier: MIT
// What snapshot_map's callable returns travels.
// EXPECT: procpool: a pointer cannot be a result
#include <procpool/procpool.h>

#include <vector>

int main() {
  std::vector<int> xs{1};
  procpool::snapshot_map([&](int x) { return &xs[static_cast<std::size_t>(x)]; }, xs);
}
