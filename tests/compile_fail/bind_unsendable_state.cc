// SPDX-License-Identifier: MIT
// What is bound is sent: a thread cannot be.
// EXPECT: procpool: this argument type cannot be sent
#include <procpool/procpool.h>

#include <memory>
#include <vector>

int main() {
  procpool::pool pool(1);
  std::vector<int> xs{1};
  pool.map(procpool::bind([](const std::shared_ptr<int>& k, int x) { return *k + x; },
                          std::make_shared<int>(1)),
           xs);
}
