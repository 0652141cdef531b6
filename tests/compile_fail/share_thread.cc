// SPDX-License-Identifier: MIT
// What cannot be sent cannot be shared.
// EXPECT: procpool: this type cannot be shared
#include <procpool/procpool.h>

#include <string>
#include <thread>

struct job {
  std::string name;
  std::thread runs;
};

int main() {
  procpool::pool pool(1);
  auto h = pool.share(job{});
}
