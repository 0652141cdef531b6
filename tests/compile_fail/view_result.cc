// SPDX-License-Identifier: MIT
// A view may not be a result.
// EXPECT: procpool: a view \(string_view, span\) cannot be a result
#include <procpool/procpool.h>

#include <string_view>
#include <vector>

int main() {
  procpool::pool pool(1);
  std::vector<int> xs{1};
  pool.map([](int) { return std::string_view("text"); }, xs);
}
