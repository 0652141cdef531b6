// SPDX-License-Identifier: MIT
// What to tell the user whose call was refused: one sentence that says what to write instead.
//
// Instantiated only after a no, one class for each kind of reason, so that it is the first thing
// the compiler says; the class's argument, the type at fault, stands in the compiler's notes. Used
// by shape.h.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>
#include <tuple>
#include <type_traits>

#include "procpool/detail/call.h"

namespace procpool::detail {

template <bool Published, class F, class... W>
struct bound_call;

template <class T>
inline constexpr bool is_string_view = false;
template <class C, class Traits>
inline constexpr bool is_string_view<std::basic_string_view<C, Traits>> = true;
template <class T>
inline constexpr bool is_span = false;
template <class T, std::size_t N>
inline constexpr bool is_span<std::span<T, N>> = true;

template <class T>
struct argument_of_type {
  static constexpr bool pointer = std::is_pointer_v<T> || std::is_null_pointer_v<T>;
  static constexpr bool view = is_string_view<T> || is_span<T>;
  static_assert(
      !pointer,
      "procpool: a pointer cannot be an argument, or a state of bind: the worker has other memory. "
      "Pass the value, a container or a std::span; or pool.share(value).");
  static_assert(
      !view,
      "procpool: the elements of this view cannot be sent. Pass a view of plain values or a "
      "container.");
  static_assert(
      !brings_descriptor<T>,
      "procpool: an fd can be an argument of a call, and nothing else: bind's state, and what an "
      "initializer or finalizer is given, are bytes alone. Pass it with each call.");
  static_assert(
      pointer || view || brings_descriptor<T> || good_argument<T>,
      "procpool: this argument type cannot be sent. Make it an aggregate of types that can be, "
      "without a base class, or give it cereal's serialize() and a default constructor, or vouch "
      "for its bytes with procpool::enable_bytes.");
};

template <class F>
struct callable_of_type {
  static constexpr bool object = has_fields<F> || std::is_polymorphic_v<F>;
  static constexpr bool bytes = std::is_trivially_copyable_v<F>;
  static_assert(
      std::is_class_v<F>,
      "procpool: this is not a callable that can be sent to a worker. Pass a function, a lambda, "
      "a function object, or PROCPOOL_LIFT(name) for an overload set.");
  static_assert(
      !std::is_class_v<F> || object || !bytes,
      "procpool: this callable captures by reference or holds a pointer (this, char*, "
      "string_view, span), which means nothing in a worker; or a union (optional, variant) or a "
      "class without a constexpr constructor, where that cannot be seen. Capture the value; or use "
      "procpool::bind(f, state...), pool.share(value), a function object with public members, "
      "procpool::snapshot_map, or, where you vouch for it, procpool::by_bytes(f).");
  static_assert(
      !std::is_class_v<F> || object || bytes,
      "procpool: this callable has captures that C++ cannot take apart (a string, a vector, a "
      "shared_ptr, a std::function...). Use procpool::bind(f, state...), pool.share(value), a "
      "function object with public members, or procpool::snapshot_map.");
  static_assert(
      !std::is_class_v<F> || !object,
      "procpool: this function object has a member that cannot be sent. Hold values that can "
      "be sent, give it cereal's serialize(), or use procpool::bind(f, state...) or "
      "procpool::snapshot_map.");
};

/// F would take the arguments if it might change them.
template <class F, class... W>
inline constexpr bool changes_arguments = callable_with<F, W&...>;
template <bool Published, class F, class... S, class... W>
inline constexpr bool changes_arguments<bound_call<Published, F, S...>, W...> =
    std::is_invocable_v<F&, S&..., W&...>;

template <class F, class... W>
struct call_of_type {
  static constexpr bool changes = changes_arguments<F, W...>;
  static_assert(
      !changes,
      "procpool: the callable takes a non-const reference: the worker has its own copy, so "
      "changes would be lost. Take it by value or const&, and return what changed.");
  static_assert(
      changes,
      "procpool: the callable cannot be called with these argument types (a worker passes each "
      "as an rvalue, after bind's state as const&; string literals and string_views arrive as "
      "std::string).");
};

template <class T>
struct shared_of_type {
  static_assert(!brings_descriptor<T>,
                "procpool: an fd cannot be shared: it can be an argument of a call, and nothing "
                "else.");
  static_assert(
      brings_descriptor<T>,
      "procpool: this type cannot be shared: it cannot be sent. Share the value itself, not a "
      "pointer to it; a container or std::span of plain values; or an aggregate of types that can "
      "be sent.");
};

template <class R>
struct result_of_type {
  static constexpr bool pointer = std::is_pointer_v<R> || std::is_null_pointer_v<R>;
  static constexpr bool view = is_string_view<R> || is_span<R>;
  static_assert(
      !pointer,
      "procpool: a pointer cannot be a result: it would point into the worker's memory. Return "
      "the value; a std::string for a char*.");
  static_assert(!view,
                "procpool: a view (string_view, span) cannot be a result: what it views is in the "
                "worker's memory. Return a std::string or a container.");
  static_assert(!brings_descriptor<R>,
                "procpool: an fd cannot be a result: descriptors are passed to workers, not back. "
                "Return what was read; or pass a socket or a pipe, and write to it.");
  static_assert(
      pointer || view || brings_descriptor<R> || good_result<R>,
      "procpool: this result type cannot be sent back. Make it an aggregate of types that can "
      "be, without a base class, or give it cereal's serialize() and a default constructor, or "
      "vouch for its bytes with procpool::enable_bytes.");
};

template <class... E>
struct ranges_of_type {
  static constexpr bool tuples = !(std::same_as<E, not_a_range> || ...);
  static_assert(
      tuples,
      "procpool: map and its kin want a callable and one or more ranges; apply takes plain "
      "arguments.");
  static_assert(
      !tuples,
      "procpool: starmap wants a range of tuples, pairs or arrays, each the arguments of one "
      "call; map takes each element as one argument.");
};

/// The first argument that cannot be sent is explained; a second would only say it again.
template <class W, class... More>
constexpr void explain_arguments() {
  if constexpr (!good_argument<W>)
    static_cast<void>(sizeof(argument_of_type<W>));
  else
    explain_arguments<More...>();
}
/// The same for what must be bytes alone.
template <class W, class... More>
constexpr void explain_state() {
  if constexpr (!good_state<W>)
    static_cast<void>(sizeof(argument_of_type<W>));
  else
    explain_state<More...>();
}
template <class F, class... W>
constexpr void explain_arguments_of(std::type_identity<std::tuple<W...>>) {
  if constexpr (!(good_argument<W> && ...))
    explain_arguments<W...>();
  else
    static_cast<void>(sizeof(call_of_type<F, W...>));
}
template <class F>
struct explain_callable {
  static constexpr void say() { static_cast<void>(sizeof(callable_of_type<F>)); }
};
template <bool Published, class F, class... W>
struct explain_callable<bound_call<Published, F, W...>> {
  static constexpr void say() {
    if constexpr (vehicle_of<F> == vehicle::none)
      static_cast<void>(sizeof(callable_of_type<F>));
    else
      explain_state<W...>();
  }
};
/// Says why not. For calls that check_call refuses only.
template <class F, class... A>
constexpr void explain_call() {
  using D = std::decay_t<F>;
  if constexpr ((placeholder<A> || ...)) {
    static_cast<void>(sizeof(ranges_of_type<A...>));
  } else if constexpr (vehicle_of<D> == vehicle::none) {
    explain_callable<D>::say();
  } else if constexpr (!call_of<F, A...>::possible || !good_arguments<argument_types<F, A...>>) {
    explain_arguments_of<D>(std::type_identity<argument_types<F, A...>>{});
  } else {
    static_cast<void>(sizeof(result_of_type<result_t<F, A...>>));
  }
}
/// Nothing when the call is good, else one static_assert.
template <class F, class... A>
constexpr void require_call() {
  if constexpr (!call_is_good<F, A...>) explain_call<F, A...>();
}
/// The same for a call that is made beforehand, and whose result is not sent.
template <class F, class... W>
constexpr void explain_state_of(std::type_identity<std::tuple<W...>>) {
  explain_state<W..., F>();
}
template <class F, class... A>
constexpr void require_task() {
  if constexpr (!way_is_good<F, A...>)
    explain_call<F, A...>();
  else if constexpr (!task_is_good<F, A...>)
    explain_state_of<std::decay_t<F>>(std::type_identity<argument_types<F, A...>>{});
}

}  // namespace procpool::detail
