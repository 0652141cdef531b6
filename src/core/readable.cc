// SPDX-License-Identifier: MIT
#include "core/readable.h"

#include <cxxabi.h>

#include <cstdlib>
#include <memory>

namespace procpool::core {

std::string readable(const std::type_info& type) {
  if (type == typeid(std::string)) return "std::string";
  int status = 0;
  const std::unique_ptr<char, decltype(&std::free)> name(
      abi::__cxa_demangle(type.name(), nullptr, nullptr, &status), &std::free);
  return name ? name.get() : type.name();
}

}  // namespace procpool::core
