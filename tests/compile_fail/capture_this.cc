// SPDX-License-Identifier: MIT
// A lambda may not capture this.
// EXPECT: procpool: this callable captures by reference or holds a pointer
#include <procpool/procpool.h>

#include <vector>

struct server {
  procpool::pool pool{1};
  int k = 1;
  auto run() {
    return pool.map([this](int x) { return x * k; }, std::vector<int>{1});
  }
};

int main() { server().run(); }
