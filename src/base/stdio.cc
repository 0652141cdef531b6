// SPDX-License-Identifier: MIT
#include "base/stdio.h"

#include <cstdio>
#include <iostream>

namespace procpool::base {

void flush_stdio() noexcept {
  for (std::ostream* stream : {&std::cout, &std::cerr, &std::clog}) {
    try {
      stream->flush();
    } catch (...) {  // the user asked this stream to throw; it is not ours to tell
    }
  }
  // fflush(nullptr) locks every stream, input too, and a thread blocked in getchar holds stdin's
  // lock until somebody types. Holding that lock ourselves shows that nobody sits there.
  if (::ftrylockfile(stdin) == 0) {
    std::fflush(nullptr);
    ::funlockfile(stdin);
  } else {
    std::fflush(stdout);
    std::fflush(stderr);
  }
}

}  // namespace procpool::base
