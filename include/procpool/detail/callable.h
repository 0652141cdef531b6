// SPDX-License-Identifier: MIT
// How a callable travels: a function as its place in the program, an object as bytes or as a value,
// a stateless one not at all. Used by call.h and invoke.h.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <type_traits>

#include "procpool/codec.h"

namespace procpool::detail {

enum class vehicle {
  none,
  nothing,  ///< stateless: its type is all there is
  code,     ///< a function
  member,   ///< a member function
  offset,   ///< a data member
  bytes,    ///< captures and members that are plain
  value,    ///< a function object whose members, or whose cereal functions, can be sent
};

template <class F>
consteval vehicle find_vehicle() {
  if constexpr (std::is_pointer_v<F> && std::is_function_v<std::remove_pointer_t<F>>)
    return vehicle::code;
  else if constexpr (std::is_member_function_pointer_v<F>)
    return vehicle::member;
  else if constexpr (std::is_member_object_pointer_v<F>)
    return vehicle::offset;
  else if constexpr (!std::is_class_v<F>)
    return vehicle::none;
  else if constexpr (std::is_empty_v<F> && std::is_trivially_copyable_v<F> &&
                     std::is_move_constructible_v<F>)
    return vehicle::nothing;
  else if constexpr (plain<F>)
    return vehicle::bytes;
  else if constexpr (sendable<F>)
    return vehicle::value;
  else
    return vehicle::none;
}
template <class F>
inline constexpr vehicle vehicle_of = find_vehicle<F>();

/// A code address as (module, offset), and back. read_code throws serialization_error for a place
/// where no code of this process is; write_code std::invalid_argument for one in no module.
void write_code(writer& out, const void* address);
const void* read_code(reader& in);

// The C++ ABI's pointer to member function: two words. In one of them a bit says that the other is
// an offset into the object's virtual table, not a code address.
struct member_words {
  std::uintptr_t code;
  std::uintptr_t adjustment;

#if defined(__aarch64__) || defined(__arm__)
  [[nodiscard]] bool is_virtual() const { return (adjustment & 1) != 0; }
  [[nodiscard]] bool is_null() const { return code == 0 && !is_virtual(); }
#else
  [[nodiscard]] bool is_virtual() const { return (code & 1) != 0; }
  [[nodiscard]] bool is_null() const { return code == 0; }
#endif
};

template <class F>
void encode_callable(writer& out, const F& f) {
  constexpr vehicle how = vehicle_of<F>;
  static_assert(how != vehicle::none);
  if constexpr (how == vehicle::code) {
    if (f == nullptr) throw std::invalid_argument("procpool: the function pointer is null");
    write_code(out, reinterpret_cast<const void*>(f));
  } else if constexpr (how == vehicle::member) {
    static_assert(sizeof(F) == sizeof(member_words));
    member_words words;
    std::memcpy(&words, &f, sizeof words);
    if (words.is_null()) throw std::invalid_argument("procpool: the member pointer is null");
    encode(out, words.is_virtual());
    encode(out, words.adjustment);
    if (words.is_virtual())
      encode(out, words.code);
    else
      write_code(out, reinterpret_cast<const void*>(words.code));
  } else if constexpr (how == vehicle::offset) {
    if (f == nullptr) throw std::invalid_argument("procpool: the member pointer is null");
    out.raw(&f, sizeof f);
  } else if constexpr (how == vehicle::bytes || how == vehicle::value) {
    encode(out, f);
  }
}

template <class F>
F decode_callable([[maybe_unused]] reader& in) {
  constexpr vehicle how = vehicle_of<F>;
  static_assert(how != vehicle::none);
  if constexpr (how == vehicle::nothing) {
    static constexpr std::byte none[sizeof(F)] = {};
    return make_from_bytes<F>(none);
  } else if constexpr (how == vehicle::code) {
    return reinterpret_cast<F>(const_cast<void*>(read_code(in)));
  } else if constexpr (how == vehicle::member) {
    const bool is_virtual = decode<bool>(in);
    member_words words{};
    words.adjustment = decode<std::uintptr_t>(in);
    words.code =
        is_virtual ? decode<std::uintptr_t>(in) : reinterpret_cast<std::uintptr_t>(read_code(in));
    if (words.is_virtual() != is_virtual || words.is_null())
      malformed("procpool: this is no pointer to a member function");
    F f;
    std::memcpy(&f, &words, sizeof f);
    return f;
  } else if constexpr (how == vehicle::offset) {
    F f;
    in.raw(&f, sizeof f);
    return f;
  } else {
    return decode<F>(in);
  }
}

}  // namespace procpool::detail

namespace procpool {

/// Callables that can be sent to a worker: functions, member functions and members; lambdas without
/// captures, and those whose captures are plain values; function objects whose members can be sent.
template <class F>
concept shippable = detail::vehicle_of<std::decay_t<F>>
!= detail::vehicle::none;

}  // namespace procpool
