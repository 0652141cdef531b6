// SPDX-License-Identifier: MIT
// A std::function hides what it holds.
// EXPECT: procpool: this callable has captures that C\+\+ cannot take apart
#include <procpool/procpool.h>

#include <functional>
#include <vector>

int main() {
  procpool::pool pool(1);
  std::vector<int> xs{1};
  std::function<int(int)> f = [](int x) { return x; };
  pool.map(f, xs);
}
