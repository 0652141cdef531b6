// SPDX-License-Identifier: MIT
// Overload sets and templates as callables: a name that means several functions is no value.
#pragma once

#include <utility>

/// A stateless lambda that calls what `...` names with whatever it is given, overloads and template
/// arguments chosen in the worker's call: pool.map(PROCPOOL_LIFT(std::abs), xs). Where no overload
/// fits it cannot be called, which is no error by itself.
#define PROCPOOL_LIFT(...)                                                                        \
  [](auto&&... procpool_arguments) noexcept(                                                      \
      noexcept(__VA_ARGS__(::std::forward<decltype(procpool_arguments)>(procpool_arguments)...))) \
      -> decltype(__VA_ARGS__(                                                                    \
          ::std::forward<decltype(procpool_arguments)>(procpool_arguments)...)) {                 \
    return __VA_ARGS__(::std::forward<decltype(procpool_arguments)>(procpool_arguments)...);      \
  }
