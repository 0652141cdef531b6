// SPDX-License-Identifier: MIT
// A captured shared_ptr is a pointer and a part of a closure.
// EXPECT: procpool: this callable has captures that C\+\+ cannot take apart
#include <procpool/procpool.h>

#include <memory>
#include <vector>

int main() {
  procpool::pool pool(1);
  std::vector<int> xs{1};
  auto p = std::make_shared<int>(1);
  pool.map([p](int x) { return x + *p; }, xs);
}
