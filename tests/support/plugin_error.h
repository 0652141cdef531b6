// SPDX-License-Identifier: MIT
// What exception_plugin_test.cc and its plug-in share: a type that the plug-in alone registers. A
// type of the same name in an unnamed namespace stands in each of them, and is not the same.
#pragma once

#include <stdexcept>
#include <string>
#include <typeinfo>

namespace procpool::testing {

struct plugin_error : std::runtime_error {
  plugin_error(const std::string& what, int number) : std::runtime_error(what), code(number) {}
  int code;
};

}  // namespace procpool::testing

extern "C" const std::type_info* procpool_test_local_type();
