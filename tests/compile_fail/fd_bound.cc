// SPDX-License-Identifier: MIT
// bind's state is written once, as bytes.
// EXPECT: procpool: an fd can be an argument of a call, and nothing else
#include <procpool/procpool.h>

#include <optional>
#include <vector>

int main() {
  procpool::pool pool(1);
  std::vector<int> xs{1};
  pool.map(procpool::bind([](const std::optional<procpool::fd>& f, int x) { return f ? x : 0; },
                          std::optional<procpool::fd>()),
           xs);
}
