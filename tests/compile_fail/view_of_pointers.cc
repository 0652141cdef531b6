// SPDX-License-Identifier: MIT
// A span of what cannot be sent cannot be sent.
// EXPECT: procpool: the elements of this view cannot be sent
#include <procpool/procpool.h>

#include <span>

int main() {
  procpool::pool pool(1);
  const char* names[] = {"a", "b"};
  pool.apply([](std::span<const char* const> s) { return s.size(); },
             std::span<const char*>(names));
}
