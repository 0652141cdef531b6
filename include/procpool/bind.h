// SPDX-License-Identifier: MIT
// A callable with state that is sent once, not with every task:
//
//     pool.map(procpool::bind([](const auto& table, int i) { return table.at(i); }, table), ids);
#pragma once

#include <tuple>
#include <type_traits>
#include <utility>

#include "procpool/detail/bound.h"

namespace procpool {

/// f(state..., args...) for each call f(args...). The state is a copy, made here: move what is
/// large, or pass a std::span of it that lives until the call has been submitted (of imap: while
/// the call lasts). Each worker decodes it once for each call of a pool's function, however many
/// items that has, and f sees it as const&; where f declares a std::span<const E> or
/// std::string_view parameter, as a view straight into memory that all workers have in common.
/// Anything that can be an argument can be state; f is anything that can be sent. Write its name in
/// full: the compiler finds std::bind by the arguments.
template <class F, class... S>
[[nodiscard]] auto bind(F f, S&&... state) {
  return detail::bound<F, std::decay_t<S>...>(
      std::move(f), std::tuple<std::decay_t<S>...>(std::forward<S>(state)...));
}
/// The same as bind(f, bound..., state...).
template <class F, class... B, class... S>
[[nodiscard]] auto bind(detail::bound<F, B...> f, S&&... state) {
  return detail::bound<F, B..., std::decay_t<S>...>(
      std::move(detail::access::callable(f)),
      std::tuple_cat(std::move(detail::access::state(f)),
                     std::tuple<std::decay_t<S>...>(std::forward<S>(state)...)));
}

}  // namespace procpool
