// SPDX-License-Identifier: MIT
// What cannot be sent is found at any depth.
// EXPECT: procpool: this argument type cannot be sent
#include <procpool/procpool.h>

#include <map>
#include <optional>
#include <string>
#include <vector>

struct leaf {
  std::string name;
  const char* text;
};
struct branch {
  std::map<std::string, std::vector<std::optional<leaf>>> leaves;
};
struct root {
  std::vector<branch> branches;
};

int main() {
  procpool::pool pool(1);
  pool.apply([](const root&) {}, root{});
}
