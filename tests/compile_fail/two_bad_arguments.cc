// SPDX-License-Identifier: MIT
// Several reasons to refuse a call: the first is told, once.
// EXPECT: procpool: this argument type cannot be sent
#include <procpool/procpool.h>

struct left {
  int* p;
};
struct right {
  int* p;
};

int main() {
  procpool::pool pool(1);
  pool.apply([](left, right) {}, left{}, right{});
}
