// SPDX-License-Identifier: MIT
// What cannot be moved cannot be made into what get() throws.
// EXPECT: procpool: PROCPOOL_EXCEPTION takes a class whose objects can be moved
#include <procpool/exception.h>

struct fixed {
  fixed() = default;
  fixed(const fixed&) = delete;
};
PROCPOOL_EXCEPTION(fixed);

int main() {}
