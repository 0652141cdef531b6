// SPDX-License-Identifier: MIT
// A map whose callable may capture anything, for it finds its captures where they are.
#pragma once

#include <algorithm>
#include <cstddef>
#include <functional>
#include <iterator>
#include <memory>
#include <stdexcept>
#include <type_traits>
#include <utility>

#include "procpool/by_bytes.h"
#include "procpool/options.h"
#include "procpool/pool.h"

namespace procpool {
namespace detail {

/// The callable at an address: sent as that, to copies of this process.
template <class F>
struct by_address {
  F* f;

  template <class... A>
  requires std::is_invocable_v<F&, A...>
  decltype(auto) operator()(A&&... args) const { return std::invoke(*f, std::forward<A>(args)...); }
};
template <class F>
requires signature<std::remove_const_t<F>>::known struct signature<by_address<F>>
    : signature<std::remove_const_t<F>> {
};

/// The items that the shortest sized range has; 0: no range can tell.
template <class... Rs>
std::size_t smallest_size(const Rs&... ranges) {
  std::size_t least = 0;
  const auto look = [&least](const auto& range) {
    if constexpr (requires { std::size(range); }) {
      const auto n = std::max<std::size_t>(1, static_cast<std::size_t>(std::size(range)));
      least = least == 0 ? n : std::min(least, n);
    }
  };
  (look(ranges), ...);
  return least;
}

}  // namespace detail

/// f over the ranges, as pool::map, by a pool made for this call alone: each call forks its
/// workers, so f may capture anything, references, this, strings; only items and results travel.
/// What f changes stays in the worker. Costs a pool's life, milliseconds, more where this process
/// is large (20 ms for each GiB it has touched). Forks: other threads of this process do not exist
/// in the workers, and whatever they held locked stays locked there.
///
/// options.processes: 0 is one for each CPU and no more than there are items, where a range knows.
/// Throws what making a pool and what map throws; std::invalid_argument for another start method
/// than fork.
template <class F, class... Rs>
auto snapshot_map(pool_options options, F&& f, Rs&&... ranges) {
  if (options.start_method != start_method::fork)
    throw std::invalid_argument(
        "procpool: snapshot_map needs start_method::fork: f is found where it is in this process");
  if (options.processes == 0) {
    const std::size_t items = detail::smallest_size(ranges...);
    const int most = detail::default_processes();
    options.processes =
        items != 0 && items < static_cast<std::size_t>(most) ? static_cast<int>(items) : most;
  }
  pool copies(options);
  using callable = detail::by_address<std::remove_reference_t<F>>;
  return copies.map(by_bytes(callable{std::addressof(f)}), std::forward<Rs>(ranges)...);
}
template <class F, class... Rs>
requires(!std::same_as<std::remove_cvref_t<F>, pool_options>) auto snapshot_map(F&& f,
                                                                                Rs&&... ranges) {
  return snapshot_map(pool_options{}, std::forward<F>(f), std::forward<Rs>(ranges)...);
}

}  // namespace procpool
