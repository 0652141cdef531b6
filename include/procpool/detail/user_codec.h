// SPDX-License-Identifier: MIT
// Whether a user wrote cereal functions for a type, and for that very type. Used by form.h.
#pragma once

#include <array>
#include <concepts>
#include <cstddef>
#include <deque>
#include <forward_list>
#include <list>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "procpool/detail/archive.h"

namespace procpool::detail {

template <class T>
consteval bool named_in_std() {
  constexpr std::string_view self = __PRETTY_FUNCTION__;
  return self.substr(self.find("T = ") + 4, 5) == "std::";
}
/// Known by name, so that the headers of path, complex and bitset need not be included to ask.
template <class T>
inline constexpr bool in_std = named_in_std<T>();

// cereal's functions for a container also take what derives from one, and leave out what was added.
template <class... A>
std::true_type std_base(const std::vector<A...>*);
template <class... A>
std::true_type std_base(const std::basic_string<A...>*);
template <class... A>
std::true_type std_base(const std::deque<A...>*);
template <class... A>
std::true_type std_base(const std::list<A...>*);
template <class... A>
std::true_type std_base(const std::forward_list<A...>*);
template <class... A>
std::true_type std_base(const std::pair<A...>*);
template <class... A>
std::true_type std_base(const std::tuple<A...>*);
template <class... A>
std::true_type std_base(const std::optional<A...>*);
template <class... A>
std::true_type std_base(const std::variant<A...>*);
template <class T, std::size_t N>
std::true_type std_base(const std::array<T, N>*);
template <template <class...> class Keyed, class... A>
requires(in_std<Keyed<A...>>&& requires { typename Keyed<A...>::mapped_type; }) std::true_type
    std_base(const Keyed<A...>*);

template <class T>
concept derives_from_std = requires(const T* t) {
  std_base(t);
};

// A member function that a class has from its base is cereal's for the base: it would leave out
// what the class adds. Where it cannot be named, because it is private or overloaded, it is taken
// for own.
template <class C, class Member>
std::type_identity<C> class_of(Member C::*);
template <class T, class Archive>
concept inherits_codec = requires {
  requires !std::same_as<decltype(class_of(&T::template serialize<Archive>)),
                         std::type_identity<T>>;
}
|| requires {
  requires !std::same_as<decltype(class_of(&T::template save<Archive>)), std::type_identity<T>>;
}
|| requires {
  requires !std::same_as<decltype(class_of(&T::template save_minimal<Archive>)),
                         std::type_identity<T>>;
};

template <class T>
consteval bool has_codec() {
  if constexpr (!std::is_class_v<T> || in_std<T>) {
    return false;
  } else if constexpr (cereal::traits::is_output_serializable<T, output_archive>::value &&
                       cereal::traits::is_input_serializable<T, input_archive>::value) {
    if constexpr (derives_from_std<T> || inherits_codec<T, output_archive>) {
      return cereal::traits::is_specialized<T, output_archive>::value;
    } else {
      return true;
    }
  } else {
    return false;
  }
}
/// The user wrote cereal functions for T, inside it or beside it; or said so by cereal::specialize.
template <class T>
concept user_codec = has_codec<T>();

}  // namespace procpool::detail
