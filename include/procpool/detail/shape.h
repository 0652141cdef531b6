// SPDX-License-Identifier: MIT
// The shapes of calls that the pool's functions make: f(args...), f over ranges, f over tuples. For
// each: whether it can be, what it returns, and the sentence for the user when it cannot.
// Used by pool.h, invoke.h and task.
#pragma once

#include <cstddef>
#include <iterator>
#include <tuple>
#include <type_traits>
#include <utility>

#include "procpool/detail/call.h"
#include "procpool/detail/callable.h"
#include "procpool/detail/explain.h"
#include "procpool/detail/fields.h"

namespace procpool::detail {

template <class R>
consteval auto find_element() {
  if constexpr (std::ranges::input_range<R>)
    return std::type_identity<std::ranges::range_reference_t<R>>{};
  else
    return std::type_identity<not_a_range>{};
}
/// What iterating over an R gives; not_a_range when that cannot be.
template <class R>
using element_t = typename decltype(find_element<R>())::type;

/// A call whose arguments' types are in a list: L is types<A...>.
template <class F, class L>
struct call_with;
template <class F, class... A>
struct call_with<F, types<A...>> {
  static constexpr bool good = call_is_good<F, A...>;
  static constexpr void require() { require_call<F, A...>(); }
  static consteval auto find_result() {
    if constexpr (good)
      return std::type_identity<result_t<F, A...>>{};
    else
      return std::type_identity<uncallable>{};
  }
  using result = typename decltype(find_result())::type;
};

template <class E>
consteval auto unpack() {
  using T = std::remove_cvref_t<E>;
  if constexpr (std::same_as<T, not_a_range>) {
    return types<not_a_range>{};
  } else if constexpr (requires { std::tuple_size<T>::value; }) {
    return []<std::size_t... I>(std::index_sequence<I...>) {
      return types<decltype(std::get<I>(std::declval<E>()))...>{};
    }
    (std::make_index_sequence<std::tuple_size_v<T>>{});
  } else {
    return types<not_a_tuple>{};
  }
}
/// types<...> of what std::get gives for each part of an element of R.
template <class R>
using star_arguments = decltype(unpack<element_t<R>>());

template <class F, class... A>
using apply_call = call_with<typename in_worker<std::decay_t<F>>::once, types<A...>>;
template <class F, class... Rs>
using map_call = call_with<typename in_worker<std::decay_t<F>>::often, types<element_t<Rs>...>>;
template <class F, class R>
using starmap_call = call_with<typename in_worker<std::decay_t<F>>::often, star_arguments<R>>;

/// What one call returns; uncallable when it is refused.
template <class F, class... A>
using apply_result = typename apply_call<F, A...>::result;
template <class F, class... Rs>
using map_result = typename map_call<F, Rs...>::result;
template <class F, class R>
using starmap_result = typename starmap_call<F, R>::result;

}  // namespace procpool::detail
