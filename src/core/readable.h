// SPDX-License-Identifier: MIT
// A type's name as its author wrote it.
#pragma once

#include <string>
#include <typeinfo>

namespace procpool::core {

/// Demangled; never of bytes that came from another process.
std::string readable(const std::type_info& type);

}  // namespace procpool::core
