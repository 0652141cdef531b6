// SPDX-License-Identifier: MIT
// Which way a type goes into bytes, decided from the type alone.
//
// The order is the contract of codec.h: a user's own functions always win; then bytes, for what is
// provably free of pointers; then blocks, the standard containers, aggregates field by field. Pure
// questions: nothing here is an error. Used by codec.h and shape.h.
#pragma once

#include <array>
#include <bit>
#include <concepts>
#include <cstddef>
#include <memory>
#include <optional>
#include <queue>
#include <span>
#include <stack>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "procpool/detail/fields.h"
#include "procpool/detail/user_codec.h"
#include "procpool/fd.h"

namespace procpool {

template <class T>
class shared_vector;

/// The user's word that T's bytes mean the same in another process:
///
///     template <> struct procpool::enable_bytes<my_type> : std::true_type {};
///
/// T must be trivially copyable, and what it points to, if anything, must be there too.
template <class T>
struct enable_bytes : std::false_type {};

}  // namespace procpool

namespace procpool::detail {

// ---- what a type is -----------------------------------------------------------------------------

// [bit.cast]/3: no constant expression when T holds, at any depth, a pointer, a reference, a member
// pointer, a union or a volatile. It needs no value of T and no constructor, so it works on
// closures. g++ 12 does not look into arrays, hence the walk through the fields in is_plain(): what
// is left is an array of pointers inside a closure, a class with private members or one with a
// base.
template <class T, class = void>
inline constexpr bool bit_castable = false;
template <class T>
inline constexpr bool bit_castable<
    T, std::void_t<std::bool_constant<(
           static_cast<void>(std::bit_cast<T>(std::array<unsigned char, sizeof(T)>{})), true)>>> =
    true;

template <class T>
concept complex_like = in_std<T> && requires(const T& c) {
  typename T::value_type;
  requires std::is_floating_point_v<typename T::value_type>;
  requires sizeof(T) == 2 * sizeof(typename T::value_type);
  { c.imag() } -> std::same_as<typename T::value_type>;
};
template <class T>
concept bitset_like = in_std<T> && requires(T& b) {
  b.flip();
  b.to_ullong();
};
template <class T>
concept array_like = in_std<T> && requires {
  typename T::value_type;
  std::tuple_size<T>::value;
};
template <class T>
concept path_like = in_std<T> && std::constructible_from<T, std::string> && requires(const T& p) {
  { p.native() } -> std::same_as<const std::string&>;
};

// ---- bytes --------------------------------------------------------------------------------------

template <class T>
consteval bool is_plain();
template <class... T>
consteval bool all_plain(types<T...>) {
  return (is_plain<T>() && ...);
}
template <class T>
consteval bool is_plain() {
  if constexpr (std::is_array_v<T>) {
    return std::is_bounded_array_v<T> && is_plain<std::remove_all_extents_t<T>>();
  } else if constexpr (std::is_const_v<T>) {
    return is_plain<std::remove_const_t<T>>();
  } else if constexpr (std::is_arithmetic_v<T> || std::is_enum_v<T>) {
    return !std::is_volatile_v<T>;
  } else if constexpr (!std::is_class_v<T> && !std::is_union_v<T>) {
    return false;
  } else if constexpr (!std::is_trivially_copyable_v<T> || !std::is_move_constructible_v<T>) {
    return false;
  } else if constexpr (std::is_volatile_v<T> || user_codec<T>) {
    return false;
  } else if constexpr (enable_bytes<T>::value || complex_like<T> || std::is_empty_v<T>) {
    return true;
  } else if constexpr (array_like<T>) {
    return is_plain<typename T::value_type>();
  } else if constexpr (has_fields<T>) {
    return all_plain(field_types<T>{});
  } else {
    return bit_castable<T>;
  }
}
/// Copying T's bytes copies its meaning, in another process too.
template <class T>
concept plain = is_plain<T>();

/// Not every pattern of bits is a T: there is a bool in it.
template <class T>
consteval bool is_picky();
template <class... T>
consteval bool any_picky(types<T...>) {
  return (is_picky<T>() || ...);
}
template <class T>
consteval bool is_picky() {
  if constexpr (std::is_array_v<T>)
    return is_picky<std::remove_all_extents_t<T>>();
  else if constexpr (std::is_enum_v<T>)
    return std::same_as<std::underlying_type_t<T>, bool>;
  else if constexpr (!std::is_class_v<T>)
    return std::same_as<std::remove_cv_t<T>, bool>;
  else if constexpr (array_like<T>)
    return is_picky<typename T::value_type>();
  else if constexpr (bitset_like<T>)
    return true;
  else if constexpr (has_fields<T>)
    return any_picky(field_types<T>{});
  else
    return false;
}

template <class T>
inline constexpr bool is_shared_vector = false;
template <class T>
inline constexpr bool is_shared_vector<shared_vector<T>> = true;

// ---- forms --------------------------------------------------------------------------------------

enum class form {
  none,      ///< cannot be sent
  apart,     ///< shared_vector: where its elements lie
  codec,     ///< the user's cereal functions
  bytes,     ///< as it lies in memory
  block,     ///< a contiguous container of plain elements: a count and one block
  standard,  ///< cereal's functions for the standard library
  path,      ///< std::filesystem::path: its string
  keyed,     ///< maps and sets: a count and the elements
  pointer,   ///< std::unique_ptr: whether, then what
  array,     ///< a C array of what is not plain
  fields,    ///< an aggregate, field by field
  code,      ///< a pointer to a function: its place in the program
  member,    ///< a pointer to a member function
  offset,    ///< a pointer to a data member
  file,      ///< an fd: attached to the message
};

template <class T>
concept block_like = requires(T& t, const T& c, const typename T::value_type* p) {
  { c.data() } -> std::same_as<const typename T::value_type*>;
  { c.size() } -> std::same_as<std::size_t>;
  t.assign(p, p);
  requires plain<typename T::value_type>;
};
template <class T>
concept container_like = requires(T& t) {
  typename T::value_type;
  typename T::allocator_type;
  t.clear();
};

template <class T>
concept map_like = requires {
  typename T::mapped_type;
};
template <class T>
concept keyed_like = container_like<T> && requires {
  typename T::key_type;
};

// Ordering and hashing are not sent: they must be the type's, not the object's.
template <class T>
consteval bool orders_by_type() {
  if constexpr (requires { typename T::hasher; })
    return std::is_empty_v<typename T::hasher> && std::is_empty_v<typename T::key_equal>;
  else if constexpr (requires { typename T::key_compare; })
    return std::is_empty_v<typename T::key_compare>;
  else
    return true;
}

/// What a standard type is made of; void: not one that is known.
template <class T>
struct parts {
  static consteval auto list() {
    if constexpr (array_like<T>) {
      return types<typename T::value_type>{};
    } else if constexpr (container_like<T>) {
      if constexpr (!orders_by_type<T>())
        return;
      else if constexpr (map_like<T>)
        return types<typename T::key_type, typename T::mapped_type>{};
      else
        return types<typename T::value_type>{};
    }
  }
  using type = decltype(list());
};
template <class... A>
struct parts<std::tuple<A...>> {
  using type = types<A...>;
};
template <class A, class B>
struct parts<std::pair<A, B>> {
  using type = types<A, B>;
};
template <class... A>
struct parts<std::variant<A...>> {
  using type = types<A...>;
};
template <class A>
struct parts<std::optional<A>> {
  using type = types<A>;
};
template <class A, class C>
struct parts<std::queue<A, C>> {
  using type = types<C>;
};
template <class A, class C>
struct parts<std::stack<A, C>> {
  using type = types<C>;
};
template <class A, class C, class Less>
struct parts<std::priority_queue<A, C, Less>> {
  using type = types<C, Less>;
};

template <class T>
inline constexpr bool is_owner = false;
template <class T>
inline constexpr bool is_owner<std::unique_ptr<T>> = !std::is_array_v<T>;

template <class... T>
consteval std::size_t total_size(types<T...>) {
  return (sizeof(T) + ...);
}

template <class T>
consteval form find_form() {
  if constexpr (!std::is_object_v<T> || !std::same_as<T, std::remove_cv_t<T>>)
    return form::none;
  else if constexpr (is_shared_vector<T>)
    return form::apart;
  else if constexpr (user_codec<T>)
    return form::codec;
  else if constexpr (plain<T>)
    return form::bytes;
  else if constexpr (std::is_bounded_array_v<T>)
    return form::array;
  else if constexpr (std::is_pointer_v<T> && std::is_function_v<std::remove_pointer_t<T>>)
    return form::code;
  else if constexpr (std::is_member_function_pointer_v<T>)
    return form::member;
  else if constexpr (std::is_member_object_pointer_v<T>)
    return form::offset;
  else if constexpr (!std::is_class_v<T>)
    return form::none;
  else if constexpr (std::same_as<T, fd>)
    return form::file;
  else if constexpr (in_std<T>) {
    if constexpr (path_like<T>)
      return form::path;
    else if constexpr (block_like<T>)
      return form::block;
    else if constexpr (is_owner<T>)
      return form::pointer;
    else if constexpr (std::is_void_v<typename parts<T>::type>)
      return form::none;
    else
      return keyed_like<T> ? form::keyed : form::standard;
  } else if constexpr (has_fields<T>) {
    // Smaller than its fields: some are bit-fields, which no reference can be bound to.
    if constexpr (!std::is_move_assignable_v<T> || total_size(field_types<T>{}) > sizeof(T))
      return form::none;
    else
      return form::fields;
  } else {
    return form::none;
  }
}
template <class T>
inline constexpr form form_of = find_form<T>();

/// A T can be made, to be read into.
template <class T>
concept makeable = plain<T> ||(std::default_initializable<T>&& std::move_constructible<T>);

// Seen: the types that T stands in. A tree's nodes hold nodes.
template <class T, class... Seen>
consteval bool is_encodable();
template <class... Seen, class... T>
consteval bool all_encodable(types<T...>) {
  return (is_encodable<T, Seen...>() && ...);
}
template <class... T>
consteval bool all_makeable(types<T...>) {
  return (makeable<T> && ...);
}
template <class... T>
consteval bool all_default(types<T...>) {
  return (std::is_default_constructible_v<T> && ...);
}
template <class T, class... Seen>
consteval bool is_encodable() {
  if constexpr ((std::same_as<T, Seen> || ...))
    return true;
  else if constexpr (form_of<T> == form::none)
    return false;
  else if constexpr (form_of<T> == form::array)
    return is_encodable<std::remove_all_extents_t<T>, Seen...>();
  else if constexpr (form_of<T> == form::pointer) {
    using E = typename T::element_type;
    if constexpr ((std::same_as<E, Seen> || ...))
      return !std::is_polymorphic_v<E>;
    else if constexpr (std::is_polymorphic_v<E> || !makeable<E>)
      return false;
    else
      return is_encodable<E, Seen...>();
  } else if constexpr (form_of<T> == form::keyed) {
    using P = typename parts<T>::type;
    if constexpr (!all_encodable<Seen...>(P{}))
      return false;
    else
      return std::is_default_constructible_v<T> && all_makeable(P{});
  } else if constexpr (form_of<T> == form::standard) {
    using P = typename parts<T>::type;
    if constexpr (!all_encodable<Seen...>(P{}))
      return false;
    else
      return all_default(P{});
  } else if constexpr (form_of<T> == form::fields) {
    return all_encodable<T, Seen...>(field_types<T>{});
  } else {
    return true;
  }
}
/// T can be written, and read into a T that is there.
template <class T>
concept encodable = is_encodable<T>();

/// The fewest bytes a T takes: what a count of them is held against.
template <class T>
consteval std::size_t least_size();
template <class... T>
consteval std::size_t least_sum(types<T...>) {
  return (least_size<T>() + ... + 0);
}
template <class T>
consteval std::size_t least_size() {
  if constexpr (form_of<T> == form::bytes)
    return sizeof(T);
  else if constexpr (form_of<T> == form::array)
    return least_size<std::remove_all_extents_t<T>>() *
           (sizeof(T) / sizeof(std::remove_all_extents_t<T>));
  else if constexpr (form_of<T> == form::fields)
    return least_sum(field_types<T>{});
  else if constexpr (form_of<T> == form::standard && array_like<T>)
    return std::tuple_size_v<T> == 0 ? 1
                                     : std::tuple_size_v<T> * least_size<typename T::value_type>();
  else if constexpr (form_of<T> == form::standard && requires { std::tuple_size<T>::value; })
    return least_sum(typename parts<T>::type{});
  else
    return 1;
}

}  // namespace procpool::detail

namespace procpool {

/// Values of this type can be sent to a worker and, unless there is an fd in them, back: see
/// codec.h.
template <class T>
concept sendable = detail::encodable<std::remove_cv_t<T>> && detail::makeable<std::remove_cv_t<T>>;

}  // namespace procpool
