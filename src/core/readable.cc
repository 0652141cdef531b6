// SPDX-License-Identifier: MIT
#include "core/readable.h"

#include "base/demangle.h"

namespace procpool::core {

std::string readable(const std::type_info& type) {
  if (type == typeid(std::string)) return "std::string";
  return base::demangled(type.name());
}

}  // namespace procpool::core
