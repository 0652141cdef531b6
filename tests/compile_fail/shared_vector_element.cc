// SPDX-License-Identifier: MIT
// Another process writes a shared_vector's elements: of a bool that could be neither true nor
// false.
// EXPECT: procpool: a shared_vector's elements must be plain values
#include <procpool/procpool.h>

struct flagged {
  int value = 0;
  bool flag = false;
};

int main() {
  procpool::pool pool(1);
  static_cast<void>(pool.allocate<flagged>(3));
}
