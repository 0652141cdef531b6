// SPDX-License-Identifier: MIT
// The fields of an aggregate: how many, of what types, and a visitor that is handed them all.
//
// The count is the longest list of empty braces that initialises T: `{}` suits every field that can
// be made without arguments, takes a C array as one field, and is never ambiguous. Structured
// bindings do the rest. Used by codec.h.
#pragma once

#include <cstddef>
#include <type_traits>
#include <utility>

namespace procpool::detail {

template <class... T>
struct types {};

inline constexpr std::size_t most_fields = 24;

/// Converts to a base class of T, and to nothing else.
template <class T>
struct only_base {
  template <class B>
  requires(std::is_base_of_v<B, T> && !std::is_same_v<B, T>) operator B()
      const;  // NOLINT(google-explicit-constructor)
};
/// Converts to unions only, named or not.
struct only_union {
  template <class U>
  requires std::is_union_v<U>
  operator U() const;  // NOLINT(google-explicit-constructor)
};
/// Converts to nothing: a field that takes it takes everything, and proves nothing.
struct only_nothing {};

// PROCPOOL_BRACES_n: n times `{},`.
#define PROCPOOL_BRACES_0
#define PROCPOOL_BRACES_1 PROCPOOL_BRACES_0{},
#define PROCPOOL_BRACES_2 PROCPOOL_BRACES_1{},
#define PROCPOOL_BRACES_3 PROCPOOL_BRACES_2{},
#define PROCPOOL_BRACES_4 PROCPOOL_BRACES_3{},
#define PROCPOOL_BRACES_5 PROCPOOL_BRACES_4{},
#define PROCPOOL_BRACES_6 PROCPOOL_BRACES_5{},
#define PROCPOOL_BRACES_7 PROCPOOL_BRACES_6{},
#define PROCPOOL_BRACES_8 PROCPOOL_BRACES_7{},
#define PROCPOOL_BRACES_9 PROCPOOL_BRACES_8{},
#define PROCPOOL_BRACES_10 PROCPOOL_BRACES_9{},
#define PROCPOOL_BRACES_11 PROCPOOL_BRACES_10{},
#define PROCPOOL_BRACES_12 PROCPOOL_BRACES_11{},
#define PROCPOOL_BRACES_13 PROCPOOL_BRACES_12{},
#define PROCPOOL_BRACES_14 PROCPOOL_BRACES_13{},
#define PROCPOOL_BRACES_15 PROCPOOL_BRACES_14{},
#define PROCPOOL_BRACES_16 PROCPOOL_BRACES_15{},
#define PROCPOOL_BRACES_17 PROCPOOL_BRACES_16{},
#define PROCPOOL_BRACES_18 PROCPOOL_BRACES_17{},
#define PROCPOOL_BRACES_19 PROCPOOL_BRACES_18{},
#define PROCPOOL_BRACES_20 PROCPOOL_BRACES_19{},
#define PROCPOOL_BRACES_21 PROCPOOL_BRACES_20{},
#define PROCPOOL_BRACES_22 PROCPOOL_BRACES_21{},
#define PROCPOOL_BRACES_23 PROCPOOL_BRACES_22{},
#define PROCPOOL_BRACES_24 PROCPOOL_BRACES_23{},
// PROCPOOL_FIELDS(row): row(n, names of n fields...) for each n that is supported.
#define PROCPOOL_FIELDS(row)                                                                       \
  row(1, f0) row(2, f0, f1) row(3, f0, f1, f2) row(4, f0, f1, f2, f3) row(                         \
      5, f0, f1, f2, f3, f4) row(6, f0, f1, f2, f3, f4, f5) row(7, f0, f1, f2, f3, f4, f5, f6)     \
      row(8, f0, f1, f2, f3, f4, f5, f6, f7) row(9, f0, f1, f2, f3, f4, f5, f6, f7, f8) row(       \
          10, f0, f1, f2, f3, f4, f5, f6, f7, f8,                                                  \
          f9) row(11, f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10)                                 \
          row(12, f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10,                                     \
              f11) row(13, f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12)                  \
              row(14, f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12,                       \
                  f13) row(15, f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14)    \
                  row(16, f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15)    \
                      row(17, f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14,     \
                          f15, f16) row(18, f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, \
                                        f13, f14, f15, f16, f17)                                   \
                          row(19, f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, \
                              f15, f16, f17,                                                       \
                              f18) row(20, f0, f1, f2, f3, f4, f5, f6, f7, f8,                     \
                                       f9, f10, f11, f12, f13, f14, f15, f16, f17, f18, f19)       \
                              row(21, f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13,  \
                                  f14, f15, f16, f17, f18, f19, f20)                               \
                                  row(22, f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12,   \
                                      f13, f14, f15, f16, f17, f18, f19, f20, f21)                 \
                                      row(23, f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11,    \
                                          f12, f13, f14, f15, f16, f17, f18, f19, f20, f21, f22)   \
                                          row(24, f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10,     \
                                              f11, f12, f13, f14, f15, f16, f17, f18, f19, f20,    \
                                              f21, f22, f23)

/// T{ {} × n } is well-formed.
template <class T, std::size_t N>
consteval bool takes_braces() {
  // NOLINTNEXTLINE(readability-braces-around-statements): a row of the table below
  if constexpr (N == 0) return requires {
      T{};
    };
#define PROCPOOL_ROW(n, ...)                   \
  else if constexpr (N == n) return requires { \
    T{PROCPOOL_BRACES_##n};                    \
  };
  PROCPOOL_FIELDS(PROCPOOL_ROW)
#undef PROCPOOL_ROW
  else return requires {
    T{PROCPOOL_BRACES_24{}};
  };
}
/// T{ {} × n, Probe } is well-formed: field n takes what Probe converts to.
template <class T, class Probe, std::size_t N>
consteval bool takes_at() {
  // NOLINTNEXTLINE(readability-braces-around-statements): a row of the table below
  if constexpr (N == 0) return requires {
      T{Probe{}};
    };
#define PROCPOOL_ROW(n, ...)                   \
  else if constexpr (N == n) return requires { \
    T{PROCPOOL_BRACES_##n Probe{}};            \
  };
  PROCPOOL_FIELDS(PROCPOOL_ROW)
#undef PROCPOOL_ROW
  else return false;
}
template <class T, class Probe, std::size_t N>
inline constexpr bool holds_at = takes_at<T, Probe, N>() && !takes_at<T, only_nothing, N>();

template <class T, std::size_t N = 0>
consteval std::size_t count_fields() {
  if constexpr (N > most_fields || !takes_braces<T, N + 1>())
    return N;
  else
    return count_fields<T, N + 1>();
}

template <class T>
consteval std::size_t nameable_fields() {
  if constexpr (!std::is_class_v<T> || !std::is_aggregate_v<T>)
    return 0;
  else if constexpr (requires { std::tuple_size<T>::value; })
    return 0;
  else if constexpr (!takes_braces<T, 0>())
    return 0;
  else {
    constexpr std::size_t n = count_fields<T>();
    if constexpr (n == 0 || n > most_fields || holds_at<T, only_base<T>, 0>)
      return 0;
    else if constexpr ([]<std::size_t... I>(std::index_sequence<I...>) {
                         return (holds_at<T, only_union, I> || ...);
                       }(std::make_index_sequence<n>{}))
      return 0;
    else
      return n;
  }
}
/// How many fields T has; 0 unless it is an aggregate whose fields can be named: not too many, no
/// base class, no union among them, each of them default constructible.
template <class T>
inline constexpr std::size_t field_count = nameable_fields<T>();
template <class T>
concept has_fields = field_count<T>
!= 0;

/// Calls visit(field...), with T's constness. A bit-field goes as const auto& only.
template <class T, class Visitor>
constexpr decltype(auto) visit_fields(T& t, Visitor&& visit) {
  constexpr std::size_t n = field_count<std::remove_const_t<T>>;
  static_assert(n != 0);
#define PROCPOOL_ROW(N, ...)   \
  if constexpr (n == N) {      \
    auto& [__VA_ARGS__] = t;   \
    return visit(__VA_ARGS__); \
  } else
  PROCPOOL_FIELDS(PROCPOOL_ROW) {}
#undef PROCPOOL_ROW
}

/// types<...> of T's fields, without their constness. No lambda: clang 14 cannot read one back from
/// a precompiled header here.
struct list_types {
  template <class... F>
  constexpr types<F...> operator()(const F&...) const {
    return {};
  }
};
template <class T>
using field_types = decltype(visit_fields(std::declval<const T&>(), list_types{}));

#undef PROCPOOL_FIELDS
#undef PROCPOOL_BRACES_0
#undef PROCPOOL_BRACES_1
#undef PROCPOOL_BRACES_2
#undef PROCPOOL_BRACES_3
#undef PROCPOOL_BRACES_4
#undef PROCPOOL_BRACES_5
#undef PROCPOOL_BRACES_6
#undef PROCPOOL_BRACES_7
#undef PROCPOOL_BRACES_8
#undef PROCPOOL_BRACES_9
#undef PROCPOOL_BRACES_10
#undef PROCPOOL_BRACES_11
#undef PROCPOOL_BRACES_12
#undef PROCPOOL_BRACES_13
#undef PROCPOOL_BRACES_14
#undef PROCPOOL_BRACES_15
#undef PROCPOOL_BRACES_16
#undef PROCPOOL_BRACES_17
#undef PROCPOOL_BRACES_18
#undef PROCPOOL_BRACES_19
#undef PROCPOOL_BRACES_20
#undef PROCPOOL_BRACES_21
#undef PROCPOOL_BRACES_22
#undef PROCPOOL_BRACES_23
#undef PROCPOOL_BRACES_24

}  // namespace procpool::detail
