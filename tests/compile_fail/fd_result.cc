// SPDX-License-Identifier: MIT
// Descriptors go to workers only.
// EXPECT: procpool: an fd cannot be a result
#include <procpool/procpool.h>

#include <string>
#include <vector>

struct answer {
  std::string name;
  std::vector<procpool::fd> files;
};

int main() {
  procpool::pool pool(1);
  pool.apply([](int) { return answer{}; }, 1);
}
