// SPDX-License-Identifier: MIT
// A program that calls procpool::init with words that are not main()'s, so that an execution made
// by a pool does not know what it is: pools within pools, but not without end. Prints what the
// first one says.
#include <cstdio>
#include <exception>

#include "procpool/procpool.h"

int main(int, char** argv) {
  procpool::init(1, argv);
  try {
    const procpool::pool pool({.processes = 1, .start_method = procpool::start_method::forkserver});
    return 1;
  } catch (const std::exception& e) {
    std::puts(e.what());
  }
  return 0;
}
