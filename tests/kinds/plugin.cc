// SPDX-License-Identifier: MIT
// A plug-in that makes pools of its own, with functions of its own, in a host that it knows nothing
// of.
#include <vector>

#include "procpool/procpool.h"

extern "C" int plugin_work(int method) {
  procpool::pool pool(
      {.processes = 2, .start_method = static_cast<procpool::start_method>(method)});
  int sum = 0;
  for (int x : pool.map([](int n) { return n * n; }, std::vector<int>{1, 2, 3})) sum += x;
  return sum;
}
