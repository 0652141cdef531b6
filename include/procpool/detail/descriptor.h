// SPDX-License-Identifier: MIT
// How an fd goes into a message: as the number of what was attached there. Used by codec.h.
#pragma once

#include <type_traits>

#include "procpool/detail/buffer.h"
#include "procpool/detail/form.h"
#include "procpool/fd.h"

namespace procpool::detail {

/// Attaches a copy of the descriptor to the message, and writes its place there. Throws
/// std::system_error; serialization_error where nothing can be attached.
void write_descriptor(writer& out, const fd& value);
/// In a task: its own descriptor for what was written. Throws serialization_error: there is none,
/// or this is no task; std::system_error.
fd read_descriptor(reader& in);

// Seen: the types that T stands in.
template <class T, class... Seen>
consteval bool has_descriptor();
template <class... Seen, class... T>
consteval bool any_descriptor(types<T...>) {
  return (has_descriptor<T, Seen...>() || ...);
}
template <class T, class... Seen>
consteval bool has_descriptor() {
  constexpr form how = form_of<std::remove_cv_t<T>>;
  if constexpr ((std::is_same_v<T, Seen> || ...))
    return false;
  else if constexpr (how == form::array)
    return has_descriptor<std::remove_all_extents_t<T>, Seen...>();
  else if constexpr (how == form::pointer)
    return has_descriptor<typename T::element_type, T, Seen...>();
  else if constexpr (how == form::keyed || how == form::standard)
    return any_descriptor<T, Seen...>(typename parts<T>::type{});
  else if constexpr (how == form::fields)
    return any_descriptor<T, Seen...>(field_types<T>{});
  else
    return how == form::file;
}
/// An fd is a T, or a part of it that can be seen: a user's own functions may send one unseen.
template <class T>
concept brings_descriptor = has_descriptor<T>();

}  // namespace procpool::detail
