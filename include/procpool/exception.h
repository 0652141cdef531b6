// SPDX-License-Identifier: MIT
// Exception types of your own that come back from a worker as themselves:
//
//     struct parse_error : std::runtime_error {
//       parse_error(const std::string& what, int at) : std::runtime_error(what), line(at) {}
//       int line;
//     };
//     PROCPOOL_EXCEPTION(parse_error, e.what(), e.line);
//
// A type without such a line comes back as its nearest base that has one or is the standard
// library's, with the same what(); remote_info::of(e)->type has its name. Where there is no such
// base it is a remote_error.
#pragma once

#include <exception>
#include <tuple>
#include <type_traits>
#include <typeinfo>
#include <utility>

#include "procpool/detail/call.h"
#include "procpool/detail/exception_type.h"
#include "procpool/detail/rethrown.h"

/// PROCPOOL_EXCEPTION(type, arguments...): at namespace scope, where it is complete, in a header
/// too. `type` is a class without a comma in its name, which need not be a std::exception; the
/// arguments are those of a constructor of it, written over `e`, a const type&. They are evaluated
/// in the worker and sent as a call's arguments are (a const char* arrives as a std::string), and
/// the constructor is called with them, as rvalues, in the process that gets the result, by
/// whatever thread reads replies there. Without arguments it is default-constructed. A type that
/// can itself be sent may write `e` alone.
///
/// What get() throws is derived from the type, says what the far one said and is a remote_info; a
/// final type, or one with std::runtime_error or std::logic_error as a virtual base, comes back
/// plain. A type whose what() is final cannot be registered. When the
/// arguments throw, the item fails with the nearest base instead; when the constructor does, with
/// a remote_error. Costs nothing until something is thrown but a word in a list for each file that
/// sees the line.
#define PROCPOOL_EXCEPTION(type, ...)                                                            \
  [[maybe_unused]] static const ::procpool::detail::exception_registration PROCPOOL_DETAIL_JOIN( \
      procpool_exception_, __COUNTER__)(::procpool::detail::exception_of<type>(                  \
      []([[maybe_unused]] const type& e, auto use) { return use(__VA_ARGS__); }))
#define PROCPOOL_DETAIL_JOIN(a, b) PROCPOOL_DETAIL_JOIN_NOW(a, b)
#define PROCPOOL_DETAIL_JOIN_NOW(a, b) a##b

namespace procpool::detail {

template <class E, class... W>
inline constexpr bool makeable_from = std::is_constructible_v<E, W...> || requires {
  E{std::declval<W>()...};
};

/// One sentence for who wrote a PROCPOOL_EXCEPTION that cannot be.
template <class E, class... W>
consteval bool check_exception() {
  constexpr bool movable = std::is_class_v<E> && std::is_move_constructible_v<E>;
  constexpr bool sent = (good_state<W> && ...);
  static_assert(movable, "procpool: PROCPOOL_EXCEPTION takes a class whose objects can be moved.");
  static_assert(!movable || sent,
                "procpool: an argument of PROCPOOL_EXCEPTION cannot be sent (a pointer, or a type "
                "that is neither an aggregate nor has cereal's serialize()). Write values over e "
                "from which a constructor can make the exception again.");
  static_assert(
      !movable || !sent || makeable_from<E, W...>,
      "procpool: the type has no constructor that takes these arguments of "
      "PROCPOOL_EXCEPTION (a const char* or string_view arrives as a std::string; without "
      "arguments it must be default-constructible). Write those of one that it has, over "
      "e: PROCPOOL_EXCEPTION(type, e.what(), e.line).");
  return movable && sent && makeable_from<E, W...>;
}

/// Asked with the arguments for what each is on the way.
struct ask_arguments {
  template <class... A>
  std::type_identity<std::tuple<wire_t<A>...>> operator()(A&&... arguments) const;
};
/// Arguments is the macro's lambda: it calls what it is given with the arguments.
template <class E, class Arguments>
using exception_arguments = typename std::invoke_result_t<Arguments, const E&, ask_arguments>::type;

template <class E, class Arguments, class Wire>
struct exception_codec;
template <class E, class Arguments, class... W>
struct exception_codec<E, Arguments, std::tuple<W...>> {
  static void encode(writer& out, const void* e) {
    Arguments{}(*static_cast<const E*>(e),
                [&out](const auto&... arguments) { (encode_argument<W>(out, arguments), ...); });
  }
  static std::exception_ptr decode(reader& in, far_side&& from) {
    // In braces: from left to right.
    std::tuple<W...> arguments{detail::decode<W>(in)...};
    const auto make = [&arguments] {
      return std::apply(
          [](W&... a) {
            if constexpr (std::is_constructible_v<E, W...>)
              return E(std::forward<W>(a)...);
            else
              return E{std::forward<W>(a)...};
          },
          arguments);
    };
    return make_rethrown_by<E>(make, std::move(from));
  }
  static exception_type entry() {
    if constexpr (check_exception<E, W...>())
      return {&typeid(E), encode, decode};
    else
      return {};
  }
};

template <class E, class Arguments>
exception_type exception_of(Arguments /*write*/) {
  return exception_codec<E, Arguments, exception_arguments<E, Arguments>>::entry();
}

}  // namespace procpool::detail
