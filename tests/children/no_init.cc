// SPDX-License-Identifier: MIT
// A program whose main() forgot procpool::init: prints what making a pool says. Were it executed
// again all the same, it would make pools without end.
#include <cstdio>
#include <stdexcept>

#include "procpool/procpool.h"

int main() {
  for (auto method : {procpool::start_method::forkserver, procpool::start_method::spawn}) {
    try {
      const procpool::pool pool({.processes = 1, .start_method = method});
      return 1;
    } catch (const std::logic_error& e) {
      std::puts(e.what());
    }
  }
  return 0;
}
