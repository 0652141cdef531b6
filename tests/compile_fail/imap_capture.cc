// SPDX-License-Identifier: MIT
// imap is refused as map is.
// EXPECT: procpool: this callable captures by reference or holds a pointer
#include <procpool/procpool.h>

#include <vector>

int main() {
  procpool::pool pool(1);
  std::vector<int> xs{1};
  int k = 2;
  auto results = pool.imap([&k](int x) { return x * k; }, xs);
}
