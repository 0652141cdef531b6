// SPDX-License-Identifier: MIT
// The exception types that users made known (PROCPOOL_EXCEPTION), beside the table of those that
// everybody knows.
//
// A list that is only ever added to, by compare-and-swap: a library may be loaded by any thread at
// any moment, and so may a process be forked. What a library registered is marked as gone before
// its code is; its entry, on the heap, stays, as somebody may just be passing it.
#pragma once

#include <string_view>
#include <typeinfo>

#include "base/entry.h"
#include "procpool/detail/exception_type.h"

namespace procpool::core {

/// What another process finds a type by. The mangled name, but two types in unnamed namespaces may
/// share that: for these the place of the type_info too, else {0, 0}.
struct type_key {
  std::string_view name;
  base::token place;
};
/// Throws procpool::error for a type of an unnamed namespace whose module was unloaded.
type_key key_of(const std::type_info& type);

/// Null: nobody registered that very type.
const detail::exception_type* find_registered(const std::type_info& type) noexcept;
const detail::exception_type* find_registered(const type_key& key) noexcept;

}  // namespace procpool::core
