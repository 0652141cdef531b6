// SPDX-License-Identifier: MIT
// Without arguments an exception is default-constructed.
// EXPECT: procpool: the type has no constructor.*without arguments it must be default-constructible
#include <procpool/exception.h>

#include <stdexcept>

struct parse_error : std::runtime_error {
  explicit parse_error(const std::string& what) : std::runtime_error(what) {}
};
PROCPOOL_EXCEPTION(parse_error);

int main() {}
