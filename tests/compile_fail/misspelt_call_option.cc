// SPDX-License-Identifier: MIT
// A misspelt option of a call is named in the first line.
// EXPECT: chunk_size|no matching (member )?function
#include <procpool/procpool.h>

#include <vector>

int main() {
  procpool::pool pool(1);
  std::vector<int> xs{1};
  pool.map(
      {.chunk_size = 4}, [](int x) { return x; }, xs);
}
