// SPDX-License-Identifier: MIT
// The user's word that a callable's bytes mean the same in a worker.
#pragma once

#include <functional>
#include <type_traits>
#include <utility>

#include "procpool/detail/callable.h"
#include "procpool/detail/form.h"
#include "procpool/detail/signature.h"

namespace procpool {
namespace detail {

/// What by_bytes() makes.
template <class F>
struct vouched {
  static_assert(std::is_trivially_copyable_v<F>,
                "procpool: by_bytes() takes what is trivially copyable: this callable holds a "
                "string, a container or the like, whose bytes mean nothing elsewhere. Capture it "
                "by reference to something made before the pool; or use procpool::bind(f, "
                "state...), pool.share(value) or procpool::snapshot_map.");
  F f;

  template <class... A>
  requires std::is_invocable_v<const F&, A...>
  decltype(auto) operator()(A&&... args) const { return std::invoke(f, std::forward<A>(args)...); }
  template <class... A>
  requires(!std::is_invocable_v<const F&, A...> && std::is_invocable_v<F&, A...>) decltype(auto)
  operator()(A&&... args) {
    return std::invoke(f, std::forward<A>(args)...);
  }
};

template <class F>
requires signature<F>::known struct signature<vouched<F>> : signature<F> {
};

// Where the word cannot be taken the sentence above is all there is to say: calls are refused no
// second time.
template <class F>
requires(!std::is_trivially_copyable_v<F>) struct own_vehicle<vouched<F>> {
  static constexpr bool possible = true;
  static vouched<F> decode(reader&);
};
template <class F>
requires(!std::is_trivially_copyable_v<F>) void encode_callable(writer&, const vouched<F>&);

}  // namespace detail

/// f, to be sent as its bytes without another question: pointers and references in it too. Workers
/// made by fork see this process as it was when the pool was made: what f refers to must have been
/// there then, and what has changed since has not changed for them. Under any other start method
/// addresses mean nothing.
template <class F>
[[nodiscard]] detail::vouched<F> by_bytes(F f) {
  return {std::move(f)};
}

template <class F>
struct enable_bytes<detail::vouched<F>> : std::true_type {};

}  // namespace procpool
