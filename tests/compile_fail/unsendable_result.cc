// SPDX-License-Identifier: MIT
// A result must be sendable too.
// EXPECT: procpool: this result type cannot be sent back
#include <procpool/procpool.h>

#include <memory>

int main() {
  procpool::pool pool(1);
  pool.apply([](int x) { return std::make_shared<int>(x); }, 1);
}
