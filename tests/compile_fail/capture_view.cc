// SPDX-License-Identifier: MIT
// A captured view is a pointer.
// EXPECT: procpool: this callable captures by reference or holds a pointer.*pool.share\(value\)
#include <procpool/procpool.h>

#include <span>
#include <vector>

int main() {
  procpool::pool pool(1);
  std::vector<int> xs{1};
  std::span<const int> all(xs);
  pool.map([all](std::size_t x) { return all[x]; }, xs);
}
