// SPDX-License-Identifier: MIT
// Names as their authors wrote them.
#pragma once

#include <string>

namespace procpool::base {

/// As it is when it is no mangled name. Never of bytes that came from another process: the
/// demangler is no place for those.
std::string demangled(const char* name);

}  // namespace procpool::base
