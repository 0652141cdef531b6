// SPDX-License-Identifier: MIT
// The door: a pool of worker processes that run functions of this program.
//
//     procpool::pool pool(4);
//     std::vector<int> squares = pool.map([](int x) { return x * x; }, xs);
//
// Every function may be called from any thread, at once; but not from another process: in a forked
// copy each throws wrong_process. Arguments are encoded in the call, on the calling thread: the
// objects passed are never touched later. What can be sent stands in codec.h; what cannot does not
// compile, and the first line says what to write instead.
#pragma once

#include <chrono>
#include <concepts>
#include <exception>
#include <iosfwd>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "procpool/bind.h"
#include "procpool/detail/engine.h"
#include "procpool/detail/input.h"
#include "procpool/detail/invoke.h"
#include "procpool/detail/results.h"
#include "procpool/detail/shape.h"
#include "procpool/detail/stream.h"
#include "procpool/options.h"
#include "procpool/result.h"
#include "procpool/shared.h"
#include "procpool/shared_vector.h"
#include "procpool/stats.h"

namespace procpool {
namespace detail {

/// Not task_options: the callable stands first.
template <class F>
concept callable_first = !std::same_as<std::remove_cvref_t<F>, task_options>;

template <class Call>
struct shape_of;
template <class F, class... A>
struct shape_of<call_with<F, types<A...>>> {
  using type = invocation<F, argument_types<F, A...>, result_t<F, A...>>;
};

template <class Call>
using many_results = std::conditional_t<Call::good, mapped<typename Call::result>, uncallable>;

}  // namespace detail

class pool {
 public:
  /// One worker for each CPU that this process may use.
  pool() : pool(pool_options{}) {}
  explicit pool(int processes) : pool(pool_options{.processes = processes}) {}
  /// Starts the workers, and does not wait for their initializers. Forks: make the pool early, best
  /// before threads; whatever they hold locked then stays locked in the workers. Throws
  /// std::invalid_argument, std::system_error.
  explicit pool(const pool_options& options)
      : engine_(detail::make_engine(options)), unwinding_(std::uncaught_exceptions()) {}
  pool(const pool&) = delete;
  pool& operator=(const pool&) = delete;
  /// close() and join(): what was submitted is finished. But terminate() and join() when an
  /// exception unwinds through here. In a forked copy of the process: nothing.
  ~pool() { engine_->shut_down(std::uncaught_exceptions() > unwinding_); }

  // ---- one call

  /// f(args...) in a worker. Waits; throws what f threw, or why it could not end (error.h).
  template <class F, class... A>
  requires detail::callable_first<F>
  auto apply(F f, A&&... args) {
    return apply(task_options{}, std::move(f), std::forward<A>(args)...);
  }
  template <class F, class... A>
  detail::apply_result<F, A...> apply(const task_options& options, F f, A&&... args) {
    auto state = one<detail::apply_call<F, A...>, detail::types<A...>>(true, options, f, args...);
    if constexpr (detail::apply_call<F, A...>::good)
      return state->take();
    else
      return {};
  }

  /// The same without waiting for the result; only for room, in a bounded pool
  /// (pool_options::max_pending). Among many such calls in quick succession some read what came
  /// back for others, here: do not hold a lock that decoding a result takes. And those of them that
  /// take no more than a few microseconds are sent up to 32 at a time: the last ones leave when
  /// somebody waits for a result, or 300 µs after the last call.
  template <class F, class... A>
  requires detail::callable_first<F>
  auto apply_async(F f, A&&... args) {
    return apply_async(task_options{}, std::move(f), std::forward<A>(args)...);
  }
  template <class F, class... A>
  async_result<detail::apply_result<F, A...>> apply_async(const task_options& options, F f,
                                                          A&&... args) {
    auto state = one<detail::apply_call<F, A...>, detail::types<A...>>(false, options, f, args...);
    if constexpr (detail::apply_call<F, A...>::good)
      return {engine_, std::move(state)};
    else
      return {};
  }

  // ---- a call for each element

  /// f over a range, or over several side by side until the shortest ends: any
  /// std::ranges::input_range, move-only elements too. The results in order, std::vector<R>; void
  /// when f returns void. Every item runs (unless fail_fast), then the first failure in input order
  /// is thrown.
  template <class F, class... Rs>
  requires detail::callable_first<F>
  auto map(F f, Rs&&... ranges) {
    return map(task_options{}, std::move(f), std::forward<Rs>(ranges)...);
  }
  template <class F, class... Rs>
  detail::many_results<detail::map_call<F, Rs...>> map(const task_options& options, F f,
                                                       Rs&&... ranges) {
    auto state =
        run<false, detail::map_call<F, Rs...>, detail::types<Rs...>>(true, options, f, ranges...);
    if constexpr (detail::map_call<F, Rs...>::good)
      return state->take();
    else
      return {};
  }

  /// Returns when the whole input has been read and encoded; of a bounded pool
  /// (pool_options::max_pending) that is when the last of it has found room.
  template <class F, class... Rs>
  requires detail::callable_first<F>
  auto map_async(F f, Rs&&... ranges) {
    return map_async(task_options{}, std::move(f), std::forward<Rs>(ranges)...);
  }
  template <class F, class... Rs>
  async_result<detail::many_results<detail::map_call<F, Rs...>>> map_async(
      const task_options& options, F f, Rs&&... ranges) {
    auto state =
        run<false, detail::map_call<F, Rs...>, detail::types<Rs...>>(false, options, f, ranges...);
    if constexpr (detail::map_call<F, Rs...>::good)
      return {engine_, std::move(state)};
    else
      return {};
  }

  /// As map, for elements that are tuples, pairs or arrays: f(get<0>(x), get<1>(x), ...).
  template <class F, class R>
  requires detail::callable_first<F>
  auto starmap(F f, R&& tuples) {
    return starmap(task_options{}, std::move(f), std::forward<R>(tuples));
  }
  template <class F, class R>
  detail::many_results<detail::starmap_call<F, R>> starmap(const task_options& options, F f,
                                                           R&& tuples) {
    auto state = run<true, detail::starmap_call<F, R>, detail::types<R>>(true, options, f, tuples);
    if constexpr (detail::starmap_call<F, R>::good)
      return state->take();
    else
      return {};
  }

  template <class F, class R>
  requires detail::callable_first<F>
  auto starmap_async(F f, R&& tuples) {
    return starmap_async(task_options{}, std::move(f), std::forward<R>(tuples));
  }
  template <class F, class R>
  async_result<detail::many_results<detail::starmap_call<F, R>>> starmap_async(
      const task_options& options, F f, R&& tuples) {
    auto state = run<true, detail::starmap_call<F, R>, detail::types<R>>(false, options, f, tuples);
    if constexpr (detail::starmap_call<F, R>::good)
      return {engine_, std::move(state)};
    else
      return {};
  }

  /// As map, but one failure does not hide the others: an outcome for each item.
  template <class F, class... Rs>
  requires detail::callable_first<F>
  auto try_map(F f, Rs&&... ranges) {
    return try_map(task_options{}, std::move(f), std::forward<Rs>(ranges)...);
  }
  template <class F, class... Rs>
  std::vector<outcome<detail::map_result<F, Rs...>>> try_map(const task_options& options, F f,
                                                             Rs&&... ranges) {
    auto state =
        run<false, detail::map_call<F, Rs...>, detail::types<Rs...>>(true, options, f, ranges...);
    if constexpr (detail::map_call<F, Rs...>::good)
      return state->take_outcomes();
    else
      return {};
  }

  // ---- lazily

  /// The results of f over the range (or ranges), in order, while the input is read only so far
  /// ahead: endless inputs work. A range passed as an lvalue must outlive the stream; a temporary
  /// moves into it. When the pool is closed meanwhile, what has been read is yielded, then comes
  /// pool_closed if there was more.
  template <class F, class... Rs>
  requires detail::callable_first<F>
  auto imap(F f, Rs&&... ranges) {
    return imap(task_options{}, std::move(f), std::forward<Rs>(ranges)...);
  }
  template <class F, class... Rs>
  result_stream<detail::map_result<F, Rs...>> imap(const task_options& options, F f,
                                                   Rs&&... ranges) {
    return open<F, Rs...>(options, true, std::move(f), std::forward<Rs>(ranges)...);
  }
  /// As they finish.
  template <class F, class... Rs>
  requires detail::callable_first<F>
  auto imap_unordered(F f, Rs&&... ranges) {
    return imap_unordered(task_options{}, std::move(f), std::forward<Rs>(ranges)...);
  }
  template <class F, class... Rs>
  result_stream<detail::map_result<F, Rs...>> imap_unordered(const task_options& options, F f,
                                                             Rs&&... ranges) {
    return open<F, Rs...>(options, false, std::move(f), std::forward<Rs>(ranges)...);
  }

  // ---- values that every worker has

  /// Sends a copy of the value, anything that can be an argument, to where all workers read it, now
  /// and those to come: for as long as the pool lives, or until unshare(). Costs one copy into
  /// shared memory, whatever the number of workers; see shared.h for what a task sees. Throws
  /// pool_closed, or why the pool is broken; what encoding throws; std::bad_alloc.
  template <class T>
  [[nodiscard]] shared<detail::wire_t<T>> share(const T& value) {
    using U = detail::wire_t<T>;
    if constexpr (detail::shared_form<U>::sendable) {
      auto made = engine_->publish([&value](detail::writer& out) { detail::share<U>(out, value); },
                                   detail::name_hash<U>());
      shared<U> handle(made->name());
      engine_->keep(std::move(made));
      return handle;
    } else {
      static_cast<void>(sizeof(detail::shared_of_type<U>));
      return {};
    }
  }
  /// Tasks submitted from now on must not use the value: they get procpool::error, or find other
  /// bytes when it goes under their hands. Those submitted before go on with it: its memory is free
  /// when they have ended, at once when there are none. Throws procpool::error when the value is
  /// not shared in this pool.
  template <class T>
  void unshare(const shared<T>& value) {
    engine_->withdraw(value.name_);
  }

  /// Of a shared_vector that is given away: without any copy.
  template <class T>
  [[nodiscard]] shared<shared_vector<T>> share(shared_vector<T>&& value) {
    auto made = detail::publish_given(*engine_, value);
    shared<shared_vector<T>> handle(made->name());
    engine_->keep(std::move(made));
    return handle;
  }

  /// A vector of n elements in the pool's shared memory, which nobody has written to yet: fill it,
  /// then pass it on as an rvalue, and no element is copied (shared_vector.h). Throws what share()
  /// throws, std::bad_alloc when it is too large. n == 0: an empty vector, which needs no memory.
  template <class T>
  [[nodiscard]] shared_vector<T> allocate(std::size_t n) {
    return detail::vector_access::make<T>(n, [&](std::size_t bytes) {
      return detail::publish_vector(engine_, bytes, detail::vector_type<T>());
    });
  }

  // ---- the end

  /// No more tasks; workers leave when the queue is empty. Returns at once; again: nothing.
  void close() { engine_->close(); }
  /// Now: pending results fail with pool_terminated, workers are killed (SIGKILL: one that is
  /// stopped or ignores SIGTERM too). Does not wait for them. Again: nothing.
  void terminate() { engine_->terminate(); }
  /// Waits until every worker is gone; after close() or terminate() only, else std::logic_error.
  void join() { engine_->join(detail::engine::never); }
  /// True: every worker is gone. False: not within d.
  template <class Rep, class Period>
  bool join_for(std::chrono::duration<Rep, Period> d) {
    return engine_->join(detail::deadline_after(d));
  }

  /// Workers the pool keeps, or makes when there is enough to do (pool_options::idle_timeout).
  [[nodiscard]] int processes() const { return engine_->processes(); }
  /// So many from now on; 0: as pool_options::processes. Returns at once: new ones are on their
  /// way; those that are too many leave, the idle ones first, when the items that they have begun
  /// have ended; what they were sent ahead runs elsewhere. No result is lost, nothing runs twice.
  /// Throws std::invalid_argument; std::system_error, and nothing has changed; pool_closed, or why
  /// the pool is broken. An in_process pool has no workers: there it only changes the number.
  void resize(int processes) { engine_->resize(processes); }
  /// What it has done so far; after terminate() and join() the numbers stand still.
  [[nodiscard]] pool_stats stats() const { return engine_->stats(); }
  /// Its workers, by place, and what each is at. A place whose worker has ended and not been
  /// replaced yet is left out; after join() there is none. An in_process pool has one, this
  /// process.
  [[nodiscard]] std::vector<worker_info> workers() const { return engine_->workers(); }
  /// <procpool::pool state=running processes=4>
  [[nodiscard]] std::string to_string() const { return engine_->to_string(); }
  template <class Char, class Traits>
  friend std::basic_ostream<Char, Traits>& operator<<(std::basic_ostream<Char, Traits>& out,
                                                      const pool& p) {
    return out << p.to_string().c_str();
  }

 private:
  /// The state of one call, submitted; waited for when `wait`. Passed: types<A&&...>, as the user
  /// passed them.
  template <class Call, class Passed, class F, class... A>
  auto one(bool wait, const task_options& options, F& f, A&... args) {
    Call::require();
    if constexpr (Call::good) {
      using shape = typename detail::shape_of<Call>::type;
      auto state = std::make_shared<detail::single<typename Call::result>>();
      detail::one_call<shape, F, Passed, A...> input(f, args...);
      detail::call_options o{.chunksize = 1,
                             .one_chunk = true,
                             .limits = &options,
                             .until = detail::call_end(options)};
      if (wait)
        engine_->run(state, shape::entry, input, o);
      else
        engine_->submit(state, shape::entry, input, o);
      return state;
    } else {
      return detail::uncallable{};
    }
  }

  /// The state of a map, submitted; waited for when `wait`.
  template <bool Star, class Call, class Passed, class F, class... Rs>
  auto run(bool wait, const task_options& options, F& f, Rs&... ranges) {
    Call::require();
    if constexpr (Call::good) {
      using shape = typename detail::shape_of<Call>::type;
      auto state = std::make_shared<detail::many<typename Call::result>>();
      auto sent = detail::depart(*engine_, f);
      detail::items<shape, Star, decltype(sent), Passed, Rs...> input(sent, ranges...);
      detail::call_options o{.chunksize = options.chunksize,
                             .fail_fast = options.fail_fast,
                             .limits = &options,
                             .until = detail::call_end(options),
                             .state = detail::state_of(sent)};
      state->shrink(wait ? engine_->run(state, shape::entry, input, o)
                         : engine_->submit(state, shape::entry, input, o));
      return state;
    } else {
      return detail::uncallable{};
    }
  }

  template <class F, class... Rs>
  auto open(const task_options& options, bool ordered, F f, Rs&&... ranges) {
    using call = detail::map_call<F, Rs...>;
    using stream = result_stream<typename call::result>;
    call::require();
    if constexpr (call::good) {
      using shape = typename detail::shape_of<call>::type;
      auto sent = detail::depart(*engine_, f);
      return stream(std::make_unique<detail::typed_stream<shape, decltype(sent), Rs...>>(
          engine_, options, ordered, std::move(sent), std::forward<Rs>(ranges)...));
    } else {
      return stream(nullptr);
    }
  }

  std::shared_ptr<detail::engine> engine_;
  int unwinding_;
};

// ---- implementation -----------------------------------------------------------------------------

template <class F, class... Args>
requires(!std::same_as<std::remove_cvref_t<F>, task>) task::task(F f, Args&&... args) {
  using callable = typename detail::in_worker<F>::once;
  detail::require_task<callable, Args...>();
  if constexpr (detail::task_is_good<callable, Args...>) {
    using shape =
        detail::invocation<callable, detail::argument_types<callable, Args...>, detail::stays>;
    auto made = std::make_shared<detail::encoded_call>();
    made->entry = &shape::entry;
    detail::vector_writer out;
    detail::one_call<shape, F, detail::types<Args...>, Args...> input(f, args...);
    input.head(out);
    out.align(detail::record_alignment);
    input.encode(out, 1);
    made->bytes = out.take();
    call_ = std::move(made);
  }
}

}  // namespace procpool
