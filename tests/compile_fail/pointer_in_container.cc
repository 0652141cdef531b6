// SPDX-License-Identifier: MIT
// Pointers in a container are pointers.
// EXPECT: procpool: this argument type cannot be sent
#include <procpool/procpool.h>

#include <vector>

int main() {
  procpool::pool pool(1);
  int k = 1;
  pool.apply([](const std::vector<int*>& v) { return v.size(); }, std::vector<int*>{&k});
}
