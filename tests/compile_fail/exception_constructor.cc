// SPDX-License-Identifier: MIT
// There must be a constructor for what is sent.
// EXPECT: procpool: the type has no constructor that takes these arguments of PROCPOOL_EXCEPTION
#include <procpool/procpool.h>

#include <stdexcept>

struct parse_error : std::runtime_error {
  parse_error(const std::string& what, int at) : std::runtime_error(what), line(at) {}
  int line;
};
PROCPOOL_EXCEPTION(parse_error, e.what());

int main() {}
