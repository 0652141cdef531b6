// SPDX-License-Identifier: MIT
// One call: what each argument is in the worker, what comes back, and whether all of it can be
// sent. Pure questions, never an error: a call that cannot be has the result `uncallable`. Used by
// explain.h and shape.h.
#pragma once

#include <concepts>
#include <cstddef>
#include <functional>
#include <iterator>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "procpool/codec.h"
#include "procpool/detail/callable.h"
#include "procpool/detail/signature.h"

namespace procpool::detail {

// ---- arguments ----------------------------------------------------------------------------------

template <class T>
struct wire {
  using type = T;
};
template <>
struct wire<const char*> {
  using type = std::string;
};
template <>
struct wire<char*> {
  using type = std::string;
};
template <>
struct wire<std::string_view> {
  using type = std::string;
};
template <class T, std::size_t N>
struct wire<std::span<T, N>> {
  using type = std::span<const std::remove_cv_t<T>>;
};
template <>
struct wire<std::vector<bool>::reference> {
  using type = bool;
};
/// What an argument of type A is in the worker when the callable has no say: its own value; a
/// string for what views one, a view into the message for a span.
template <class A>
using wire_t = typename wire<std::decay_t<A>>::type;

template <class T>
concept text = std::same_as<T, std::string> || std::same_as<T, std::string_view> ||
    std::same_as<T, const char*> || std::same_as<T, char*>;

/// An A can be written so that a View can be laid over it.
template <class View, class A>
concept viewed_as = (std::same_as<View, std::string_view> && text<std::decay_t<A>>) ||
                    (!std::same_as<View, std::string_view> && is_view<View> &&
                     !is_shared_vector<std::remove_cvref_t<A>> &&
                     requires(const std::remove_cvref_t<A>& a) {
                       { std::data(a) } -> std::convertible_to<const typename View::value_type*>;
                       { *std::data(a) } -> std::same_as<const typename View::value_type&>;
                       { std::size(a) } -> std::convertible_to<std::size_t>;
                     });
template <class F, std::size_t I, class A>
consteval auto find_argument() {
  if constexpr (viewed_as<parameter<F, I>, A>)
    return std::type_identity<parameter<F, I>>{};
  else
    return std::type_identity<wire_t<A>>{};
}
/// What the worker decodes for argument I of type A, and hands to F as an rvalue.
template <class F, std::size_t I, class A>
using argument = typename decltype(find_argument<F, I, A>())::type;

template <class F, class Indices, class... A>
struct arguments;
template <class F, std::size_t... I, class... A>
struct arguments<F, std::index_sequence<I...>, A...> {
  using type = std::tuple<argument<F, I, A>...>;
};
/// std::tuple of them, for a call of F with actual arguments of types A.
template <class F, class... A>
using argument_types =
    typename arguments<std::decay_t<F>, std::index_sequence_for<A...>, A...>::type;

/// F only looks at its argument I, as it is declared: const&, or a view. A shared_vector in it
/// needs no memory of its own then.
template <class F, std::size_t I>
inline constexpr bool only_looks =
    is_view<parameter<F, I>> ||
    (std::is_lvalue_reference_v<declared_parameter<F, I>> &&
     std::is_const_v<std::remove_reference_t<declared_parameter<F, I>>>);

/// How an argument is passed on that was passed as an A, as a forwarding reference has it.
template <class A>
inline constexpr passing passing_of =
    std::is_lvalue_reference_v<A> || std::is_const_v<std::remove_reference_t<A>> ? passing::copied
                                                                                 : passing::moved;

/// Writes what decode<To> reads.
template <class To, class From>
void encode_argument(writer& out, const From& from, passing how = passing::copied) {
  using D = std::decay_t<From>;
  if constexpr (std::same_as<D, const char*> || std::same_as<D, char*>) {
    const char* s = from;
    if (s == nullptr)
      throw std::invalid_argument("procpool: a null char* was passed as an argument");
    encode_view(out, std::span<const char>(std::string_view(s)));
  } else if constexpr (is_view<To>) {
    encode_view(out, std::span<const typename To::value_type>(std::data(from), std::size(from)));
  } else if constexpr (std::same_as<D, std::string_view>) {
    encode(out, from);
  } else if constexpr (std::same_as<To, From>) {
    encode(out, from, how);
  } else {
    encode<To>(out, static_cast<To>(from));
  }
}

// ---- results ------------------------------------------------------------------------------------

/// Stands for a result when there can be none: the call was refused, and the reason was given.
struct uncallable {};
/// Stands for the element of an argument that is no range, or of one whose elements are no tuples.
struct not_a_range {};
struct not_a_tuple {};

template <class F, class... W>
inline constexpr bool callable_with =
    std::is_invocable_v<const F&, W...> || std::is_invocable_v<F&, W...>;
/// F is called as const where it can be: two items of a task share it.
template <class F, class... W>
using callee = std::conditional_t<std::is_invocable_v<const F&, W...>, const F&, F&>;

template <class F, class Arguments>
struct call;
template <class F, class... W>
struct call<F, std::tuple<W...>> {
  static constexpr bool possible = callable_with<F, W...>;
  static consteval auto find_result() {
    if constexpr (!possible)
      return std::type_identity<uncallable>{};
    else {
      using R = std::decay_t<std::invoke_result_t<callee<F, W...>, W...>>;
      if constexpr (std::same_as<R, std::vector<bool>::reference>)
        return std::type_identity<bool>{};
      else
        return std::type_identity<R>{};
    }
  }
  using result = typename decltype(find_result())::type;
};
template <class F, class... A>
using call_of = call<std::decay_t<F>, argument_types<F, A...>>;
/// What F returns for arguments of types A, by value; void stays void.
template <class F, class... A>
using result_t = typename call_of<F, A...>::result;

// ---- questions ----------------------------------------------------------------------------------

template <class T>
concept good_argument = is_view<T> || sendable<T>;
template <class T>
concept good_result = std::is_void_v<T> ||(sendable<T> && !brings_descriptor<T>);
/// What is written once and read by many tasks, or by none: bytes alone.
template <class T>
concept good_state = good_argument<T> && !brings_descriptor<T>;

template <class Tuple>
inline constexpr bool good_arguments = false;
template <class... W>
inline constexpr bool good_arguments<std::tuple<W...>> = (good_argument<W> && ...);

template <class T>
concept placeholder = std::same_as<T, not_a_range> || std::same_as<T, not_a_tuple>;

/// F can be called in a worker with arguments of types A.
template <class F, class... A>
consteval bool ask_way() {
  if constexpr ((placeholder<A> || ...))
    return false;
  else if constexpr (vehicle_of<std::decay_t<F>> == vehicle::none)
    return false;
  else if constexpr (!good_arguments<argument_types<F, A...>>)
    return false;
  else
    return call_of<F, A...>::possible;
}
template <class F, class... A>
inline constexpr bool way_is_good = ask_way<F, A...>();

template <class Tuple>
inline constexpr bool good_states = false;
template <class... W>
inline constexpr bool good_states<std::tuple<W...>> = (good_state<W> && ...);

/// As well, it can be made beforehand, as bytes alone.
template <class F, class... A>
consteval bool ask_task() {
  if constexpr (!way_is_good<F, A...>)
    return false;
  else
    return good_states<argument_types<F, A...>> && !brings_descriptor<std::decay_t<F>>;
}
template <class F, class... A>
inline constexpr bool task_is_good = ask_task<F, A...>();

/// F can be called so, and its result can be sent back.
template <class F, class... A>
consteval bool ask_call() {
  if constexpr (!way_is_good<F, A...>)
    return false;
  else
    return good_result<result_t<F, A...>>;
}
template <class F, class... A>
inline constexpr bool call_is_good = ask_call<F, A...>();
template <class F, class... A>
consteval bool check_call() {
  return call_is_good<F, A...>;
}

}  // namespace procpool::detail
