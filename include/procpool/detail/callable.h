// SPDX-License-Identifier: MIT
// How a callable travels: a stateless one not at all, others as the value they are. Used by call.h
// and invoke.h.
#pragma once

#include <cstddef>
#include <stdexcept>
#include <type_traits>

#include "procpool/codec.h"

namespace procpool::detail {

enum class vehicle {
  none,
  nothing,  ///< stateless: its type is all there is
  pointer,  ///< a function, a member function, a data member: a value that is not null
  bytes,    ///< captures and members that are plain
  value,    ///< a function object whose members, or whose cereal functions, can be sent
  own,      ///< own_vehicle says how
};

/// For callables that bring state of another kind: possible, and decode(reader&). See bound.h.
template <class F>
struct own_vehicle;

/// What stands for F in a worker: where F is sent for one item, and where it is sent for many.
template <class F>
struct in_worker {
  using once = F;
  using often = F;
};

// A class without state is asked nothing more: whether cereal has functions for it would take the
// compiler a sixth of its time for a call, clang++ half of it.
template <class F>
consteval vehicle find_vehicle() {
  if constexpr (requires { own_vehicle<F>::possible; })
    return own_vehicle<F>::possible ? vehicle::own : vehicle::none;
  else if constexpr (std::is_empty_v<F> && std::is_trivially_copyable_v<F> &&
                     std::is_move_constructible_v<F>)
    return vehicle::nothing;
  else if constexpr (form_of<F> == form::code || form_of<F> == form::member ||
                     form_of<F> == form::offset)
    return vehicle::pointer;
  else if constexpr (!std::is_class_v<F>)
    return vehicle::none;
  else if constexpr (plain<F>)
    return vehicle::bytes;
  else if constexpr (sendable<F>)
    return vehicle::value;
  else
    return vehicle::none;
}
template <class F>
inline constexpr vehicle vehicle_of = find_vehicle<F>();

template <class F>
void encode_callable(writer& out, const F& f) {
  constexpr vehicle how = vehicle_of<F>;
  static_assert(how != vehicle::none && how != vehicle::own);
  if constexpr (how == vehicle::pointer)
    if (f == nullptr) throw std::invalid_argument("procpool: the callable is a null pointer");
  if constexpr (how != vehicle::nothing) encode(out, f);
}

template <class F>
F decode_callable([[maybe_unused]] reader& in) {
  constexpr vehicle how = vehicle_of<F>;
  static_assert(how != vehicle::none);
  if constexpr (how == vehicle::nothing) {
    static constexpr std::byte none[sizeof(F)] = {};
    return make_from_bytes<F>(none);
  } else if constexpr (how == vehicle::own) {
    return own_vehicle<F>::decode(in);
  } else {
    return decode<F>(in);
  }
}

}  // namespace procpool::detail

namespace procpool {

/// Callables that can be sent to a worker: functions, member functions and members; lambdas without
/// captures, and those whose captures are plain values; function objects whose members can be sent;
/// bind() and by_bytes() of them.
template <class F>
concept shippable = detail::vehicle_of<typename detail::in_worker<std::decay_t<F>>::once>
!= detail::vehicle::none;

}  // namespace procpool
