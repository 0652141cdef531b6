// SPDX-License-Identifier: MIT
// A plug-in with exception types of its own, loaded and unloaded by exception_plugin_test.cc. Takes
// procpool's symbols from the program that loads it.
#include "procpool/exception.h"
#include "support/plugin_error.h"

namespace procpool::testing {

PROCPOOL_EXCEPTION(plugin_error, e.what(), e.code);

namespace {

struct local_error {
  std::string of_the_plugin;
};

}  // namespace

PROCPOOL_EXCEPTION(local_error, e.of_the_plugin);

}  // namespace procpool::testing

const std::type_info* procpool_test_local_type() { return &typeid(procpool::testing::local_error); }
