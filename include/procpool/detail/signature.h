// SPDX-License-Identifier: MIT
// The parameters a callable was declared with, where its type tells: functions, member functions
// and classes with one operator() that is no template. Used by shape.h.
#pragma once

#include <cstddef>
#include <type_traits>

#include "procpool/detail/fields.h"

namespace procpool::detail {

template <class F>
struct signature {
  static constexpr bool known = false;
};

template <class... P>
struct known_signature {
  static constexpr bool known = true;
  using parameters = types<P...>;
};

template <class R, class... P>
struct signature<R (*)(P...)> : known_signature<P...> {};
template <class R, class... P>
struct signature<R (*)(P...) noexcept> : known_signature<P...> {};

// A member function's first argument is its object.
// NOLINTBEGIN(bugprone-macro-parentheses): qualifiers are no expression
#define PROCPOOL_MEMBER(qualifiers)       \
  template <class R, class C, class... P> \
  struct signature<R (C::*)(P...) qualifiers> : known_signature<C, P...> {};
#define PROCPOOL_MEMBERS(qualifiers)   \
  PROCPOOL_MEMBER(qualifiers)          \
  PROCPOOL_MEMBER(const qualifiers)    \
  PROCPOOL_MEMBER(volatile qualifiers) \
  PROCPOOL_MEMBER(const volatile qualifiers)
PROCPOOL_MEMBERS()
PROCPOOL_MEMBERS(&)
PROCPOOL_MEMBERS(&&)
PROCPOOL_MEMBERS(noexcept)
PROCPOOL_MEMBERS(&noexcept)
PROCPOOL_MEMBERS(&&noexcept)
#undef PROCPOOL_MEMBERS
#undef PROCPOOL_MEMBER
// NOLINTEND(bugprone-macro-parentheses)

template <class T>
struct without_object;
template <class C, class... P>
struct without_object<types<C, P...>> {
  using type = types<P...>;
};

template <class F>
requires requires { &F::operator(); }
struct signature<F> {
  static constexpr bool known = true;
  using parameters =
      typename without_object<typename signature<decltype(&F::operator())>::parameters>::type;
};

template <std::size_t I, class List>
struct type_at {
  using type = void;
};
template <class First, class... Rest>
struct type_at<0, types<First, Rest...>> {
  using type = First;
};
template <std::size_t I, class First, class... Rest>
requires(I > 0) struct type_at<I, types<First, Rest...>> : type_at<I - 1, types<Rest...>> {
};

template <class F, std::size_t I>
consteval auto find_parameter() {
  if constexpr (signature<F>::known)
    return std::type_identity<typename type_at<I, typename signature<F>::parameters>::type>{};
  else
    return std::type_identity<void>{};
}
/// What F declares for its argument I; void when that cannot be told.
template <class F, std::size_t I>
using declared_parameter = typename decltype(find_parameter<F, I>())::type;
/// The same without const and reference.
template <class F, std::size_t I>
using parameter = std::remove_cvref_t<declared_parameter<F, I>>;

}  // namespace procpool::detail
