// SPDX-License-Identifier: MIT
// Shared values are bytes.
// EXPECT: procpool: an fd cannot be shared
#include <procpool/procpool.h>

#include <map>

int main() {
  procpool::pool pool(1);
  auto h = pool.share(std::map<int, procpool::fd>());
}
