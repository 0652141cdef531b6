// SPDX-License-Identifier: MIT
// The state is not what the callable takes.
// EXPECT: procpool: the callable cannot be called with these argument types
#include <procpool/procpool.h>

#include <string>
#include <vector>

int main() {
  procpool::pool pool(1);
  std::vector<int> xs{1};
  auto results = pool.imap(
      procpool::bind([](const std::string& s, int x) { return s.size() == 1 ? x : 0; }, 7), xs);
}
