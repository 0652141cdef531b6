// SPDX-License-Identifier: MIT
// C++ cannot take a closure apart: a captured string cannot be found in it.
// EXPECT: procpool: this callable has captures that C\+\+ cannot take apart
#include <procpool/procpool.h>

#include <string>
#include <vector>

int main() {
  procpool::pool pool(1);
  std::vector<int> xs{1};
  std::string s = "a";
  pool.map([s](int x) { return s.size() + static_cast<std::size_t>(x); }, xs);
}
