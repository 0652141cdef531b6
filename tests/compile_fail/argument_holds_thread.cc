// SPDX-License-Identifier: MIT
// An argument may not hold what is no value.
// EXPECT: procpool: this argument type cannot be sent
#include <procpool/procpool.h>

#include <string>
#include <thread>

struct big {
  std::string name;
  std::thread worker;
};

int main() {
  procpool::pool pool(1);
  pool.apply([](const big&) {}, big{});
}
