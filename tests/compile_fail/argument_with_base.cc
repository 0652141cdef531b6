// SPDX-License-Identifier: MIT
// The fields of an aggregate with a base class cannot be named.
// EXPECT: procpool: this argument type cannot be sent.*base class
#include <procpool/procpool.h>

#include <string>

struct named {
  std::string name;
};
struct item : named {
  std::string text;
};

int main() {
  procpool::pool pool(1);
  pool.apply([](const item&) {}, item{});
}
