// SPDX-License-Identifier: MIT
// The exception types that come back from a worker as themselves: the standard library's and
// procpool's own. A constant: nothing is built at run time, so a fork at any moment is harmless.
#pragma once

#include <string_view>
#include <typeinfo>

#include "procpool/detail/exception_type.h"

namespace procpool::core {

using detail::exception_type;

/// The entry of that very type; null: not in the table, whatever it derives from.
const exception_type* find_in_table(const std::type_info& type) noexcept;
/// By its mangled name.
const exception_type* find_in_table(std::string_view name) noexcept;

}  // namespace procpool::core
