// SPDX-License-Identifier: MIT
// How bind()'s callables travel. Where one item is sent the state goes with it; for a map it is
// published once, and every parcel holds its name. Used by bind.h and pool.h.
#pragma once

#include <functional>
#include <memory>
#include <tuple>
#include <type_traits>
#include <utility>

#include "procpool/codec.h"
#include "procpool/detail/batch.h"
#include "procpool/detail/call.h"
#include "procpool/detail/callable.h"
#include "procpool/detail/engine.h"
#include "procpool/detail/type_name.h"

namespace procpool::detail {

/// What bind() makes: something to pass to a pool's functions, or to task.
template <class F, class... S>
class bound {
 public:
  bound(F f, std::tuple<S...> state) : f_(std::move(f)), state_(std::move(state)) {}

 private:
  friend struct access;
  F f_;
  std::tuple<S...> state_;
};

/// A bound callable in the worker. Published: the state belongs to the worker, and outlives the
/// task.
template <bool Published, class F, class... W>
struct bound_call {
  using values = std::tuple<W...>;
  F f;
  std::conditional_t<Published, const values*, values> state;

  template <class... A>
  requires std::is_invocable_v<const F&, const W&..., A...>
  decltype(auto) operator()(A&&... args) const { return apply(f, std::forward<A>(args)...); }
  template <class... A>
  requires(!std::is_invocable_v<const F&, const W&..., A...> &&
           std::is_invocable_v<F&, const W&..., A...>) decltype(auto)
  operator()(A&&... args) {
    return apply(f, std::forward<A>(args)...);
  }

 private:
  template <class Callee, class... A>
  decltype(auto) apply(Callee& callee, A&&... args) const {
    return std::apply(
        [&](const W&... w) -> decltype(auto) {
          return std::invoke(callee, w..., std::forward<A>(args)...);
        },
        where());
  }
  [[nodiscard]] const values& where() const {
    if constexpr (Published)
      return *state;
    else
      return state;
  }
};

/// A map's callable on its way: the state is out there, and stays as long as this or a task of it.
template <class F, class... W>
struct departed {
  F f;
  std::shared_ptr<const published> state;
};

// Parameters that the state takes are no arguments of the call.
template <std::size_t N, class List>
struct without_first {
  using type = List;
};
template <std::size_t N, class First, class... Rest>
requires(N > 0) struct without_first<N, types<First, Rest...>>
    : without_first<N - 1, types<Rest...>> {
};
template <bool Published, class F, class... W>
requires signature<F>::known struct signature<bound_call<Published, F, W...>> {
  static constexpr bool known = true;
  using parameters = typename without_first<sizeof...(W), typename signature<F>::parameters>::type;
};

template <bool Published, class F, class Indices, class... S>
struct bound_form;
template <bool Published, class F, std::size_t... I, class... S>
struct bound_form<Published, F, std::index_sequence<I...>, S...> {
  using type = bound_call<Published, F, argument<F, I, S>...>;
  using departed_type = departed<F, argument<F, I, S>...>;
};
template <class F, class... S>
struct in_worker<bound<F, S...>> {
  using once = typename bound_form<false, F, std::index_sequence_for<S...>, S...>::type;
  using often = typename bound_form<true, F, std::index_sequence_for<S...>, S...>::type;
  using departed_type =
      typename bound_form<true, F, std::index_sequence_for<S...>, S...>::departed_type;
};

template <class... W, class... S>
void encode_state(writer& out, const std::tuple<S...>& state,
                  std::type_identity<std::tuple<W...>>) {
  std::apply([&](const S&... s) { (encode_argument<W>(out, s), ...); }, state);
}
template <class... W>
std::tuple<W...> decode_state(reader& in, std::type_identity<std::tuple<W...>>) {
  return std::tuple<W...>{decode<W>(in)...};
}

/// The callable, and its state behind it on a boundary of its own.
template <class F, class... S>
void encode_callable(writer& out, const bound<F, S...>& b) {
  using values = typename in_worker<bound<F, S...>>::once::values;
  encode_callable(out, access::callable(b));
  encode_state(out, access::state(b), std::type_identity<values>{});
}
template <class F, class... W>
void encode_callable(writer& out, const departed<F, W...>& d) {
  encode_callable(out, d.f);
  encode(out, d.state->name());
}

template <class F, class... W>
struct own_vehicle<bound_call<false, F, W...>> {
  using callable = bound_call<false, F, W...>;
  static constexpr bool possible = vehicle_of<F> != vehicle::none && (good_state<W> && ...);
  static callable decode(reader& in) {
    F f = decode_callable<F>(in);
    return {std::move(f), decode_state(in, std::type_identity<std::tuple<W...>>{})};
  }
};
template <class F, class... W>
struct own_vehicle<bound_call<true, F, W...>> {
  using callable = bound_call<true, F, W...>;
  using values = std::tuple<W...>;
  static constexpr bool possible = own_vehicle<bound_call<false, F, W...>>::possible;
  static callable decode(reader& in) {
    F f = decode_callable<F>(in);
    const void* state =
        decode_published(detail::decode<published_name>(in), name_hash<values>(), make);
    return {std::move(f), static_cast<const values*>(state)};
  }

 private:
  static std::shared_ptr<const void> make(std::span<const std::byte> bytes) {
    reader in(bytes.data(), bytes.size());
    return std::make_shared<const values>(decode_state(in, std::type_identity<values>{}));
  }
};

/// What a map takes with it: the callable, or what is left of a bound one once its state is out
/// there. Moves from f.
template <class F>
F depart(engine&, F& f) {
  return std::move(f);
}
template <class F, class... S>
auto depart(engine& e, bound<F, S...>& b) {
  using travelling = in_worker<bound<F, S...>>;
  using values = typename travelling::often::values;
  auto state = e.publish(
      [&b](writer& out) { encode_state(out, access::state(b), std::type_identity<values>{}); },
      name_hash<values>());
  return typename travelling::departed_type{std::move(access::callable(b)), std::move(state)};
}
template <class F>
const std::shared_ptr<const published>* state_of(const F&) noexcept {
  return nullptr;
}
template <class F, class... W>
const std::shared_ptr<const published>* state_of(const departed<F, W...>& d) noexcept {
  return &d.state;
}

}  // namespace procpool::detail
