// SPDX-License-Identifier: MIT
// snapshot_map's callable may capture anything; it must still take the items.
// EXPECT: procpool: the callable cannot be called with these argument types
#include <procpool/procpool.h>

#include <string>
#include <vector>

int main() {
  std::vector<int> xs{1};
  std::string s = "a";
  procpool::snapshot_map([&](const std::string& t) { return s + t; }, xs);
}
