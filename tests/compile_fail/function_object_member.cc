// SPDX-License-Identifier: MIT
// A function object is sent member by member, and one of them cannot be.
// EXPECT: procpool: this function object has a member that cannot be sent
#include <procpool/procpool.h>

#include <string>

struct finder {
  std::string text;
  const int* table;
  int operator()(int x) const { return table[x]; }
};

int main() {
  procpool::pool pool(1);
  pool.apply(finder{"a", nullptr}, 1);
}
