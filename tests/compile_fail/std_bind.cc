// SPDX-License-Identifier: MIT
// std::bind hides what it holds; procpool::bind is named instead.
// EXPECT: procpool: this callable .*procpool::bind
#include <procpool/procpool.h>

#include <functional>
#include <string>
#include <vector>

int main() {
  procpool::pool pool(1);
  std::vector<int> xs{1};
  using namespace std::placeholders;
  pool.map(std::bind([](const std::string& s, int x) { return s.size() == 1 ? x : 0; },
                     std::string("a"), _1),
           xs);
}
