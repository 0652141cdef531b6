// SPDX-License-Identifier: MIT
// Nobody can vouch for a string's bytes.
// EXPECT: procpool: by_bytes\(\) takes what is trivially copyable
#include <procpool/procpool.h>

#include <string>
#include <vector>

int main() {
  procpool::pool pool(1);
  std::vector<int> xs{1};
  std::string s = "a";
  pool.map(procpool::by_bytes([s](int x) { return s.size() + static_cast<std::size_t>(x); }), xs);
}
