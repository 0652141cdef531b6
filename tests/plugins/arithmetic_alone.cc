// SPDX-License-Identifier: MIT
// A plug-in as a host loads it with dlopen: functions that the host passes to its pool, and code
// that uses the host's pool by itself. It has a copy of the library of its own, as plug-ins do.
#include <string>
#include <vector>

#include "procpool/procpool.h"

namespace {

int hidden(int x) { return x + 1000; }

}  // namespace

extern "C" int plugin_triple(int x) { return 3 * x; }

/// A function that only its address leads to.
extern "C" int (*plugin_hidden())(int) { return hidden; }

/// Lambdas, templates and containers of the plug-in's own.
extern "C" int plugin_sum(procpool::pool* pool) {
  int sum = 0;
  for (int n : pool->map([](const std::string& s) { return static_cast<int>(s.size()); },
                         std::vector<std::string>{"a", "bc", "def"}))
    sum += n;
  return sum;
}
