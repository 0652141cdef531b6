// SPDX-License-Identifier: MIT
// A typed call turned into a parcel and an entry point, and a reply turned into values: the only
// place where types meet bytes.
//
// Items whose arguments are all plain lie in the parcel one after the other, `stride` bytes each;
// others are records (batch.h). Results that are plain lie likewise in the reply's fixed part.
#pragma once

#include <cxxabi.h>

#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <tuple>
#include <type_traits>
#include <typeinfo>
#include <utility>

#include "procpool/codec.h"
#include "procpool/detail/batch.h"
#include "procpool/detail/shape.h"
#include "procpool/detail/throw_probe.h"
#include "procpool/detail/type_name.h"

namespace procpool::detail {

/// Values of these types, packed: where each lies in an item, and the size of an item.
template <class... W>
struct packing {
  static constexpr bool possible = (viewable<W> && ...) && (!is_view<W> && ...);
  static constexpr std::size_t count = sizeof...(W);
  struct places {
    std::array<std::size_t, count + 1> at{};  // the last one: the stride
  };
  static constexpr places compute() {
    places p;
    std::size_t offset = 0;
    std::size_t widest = 1;
    std::size_t i = 0;
    [[maybe_unused]] auto place = [&](std::size_t size, std::size_t alignment) {
      offset = (offset + alignment - 1) / alignment * alignment;
      p.at[i++] = offset;
      offset += size;
      widest = widest < alignment ? alignment : widest;
    };
    (place(sizeof(W), alignof(W)), ...);
    p.at[count] = (offset + widest - 1) / widest * widest;
    return p;
  }
};

/// Stands for the result of a call made beforehand (task): it is not sent but stays in the worker.
struct stays {};
template <class R>
concept sends_nothing = std::is_void_v<R> || std::same_as<R, stays>;

/// The shape of one call, F with what each argument is in the worker.
template <class F, class Arguments, class Result>
struct invocation;

template <class F, class... W, class R>
struct [[gnu::visibility("hidden")]] invocation<F, std::tuple<W...>, R> {
  using result = R;
  using packed = packing<W...>;
  static constexpr bool packed_arguments = packed::possible;
  static constexpr bool fixed_result = [] {
    if constexpr (sends_nothing<R>)
      return true;
    else
      return viewable<R>;
  }();
  static constexpr std::size_t argument_stride() {
    if constexpr (packed_arguments)
      return packed::compute().at[sizeof...(W)];
    else
      return 0;
  }
  static constexpr std::size_t result_stride() {
    if constexpr (sends_nothing<R> || !fixed_result)
      return 0;
    else
      return sizeof(R);
  }

  // ---- in the parent

  /// One value of type T is one item, byte for byte.
  template <class T>
  static consteval bool takes() {
    if constexpr (sizeof...(W) == 1)
      return (std::is_same_v<W, T> && ...);
    else
      return false;
  }

  /// Appends one item, of arguments that were passed as P. When it throws, `out` is as before.
  template <class... P, class... A>
  static void put(writer & out, types<P...>, const A&... args) {
    if constexpr (packed_arguments) {
      std::byte* at = out.extend(argument_stride());
      put_packed(at, std::index_sequence_for<W...>{}, args...);
    } else {
      std::size_t before = out.size();
      try {
        std::size_t record = open_record(out, 0, record_kind::value);
        (encode_argument<W>(out, args, passing_of<P>), ...);
        close_record(out, record);
      } catch (...) {
        out.truncate(before);
        throw;
      }
    }
  }

  // ---- in the worker

  static void run(task_run & task) {
    std::uint32_t from = 0;
    std::uint32_t to = 0;
    reader in(task.parcel().data(), task.parcel().size());
    task.out().extend(task.count() * result_stride());
    bool decoded = false;
    // Copied into storage of this frame: items share it.
    struct holder {
      F f;
    };
    try {
      holder h{decode_callable<F>(in)};
      in.align(record_alignment);
      decoded = true;
      run_items(task, in, h.f);
    } catch (abi::__forced_unwind&) {
      throw;
    } catch (...) {
      // run_items throws what fail() does: the worker ends under that item. Else the callable could
      // not be decoded.
      if (decoded) throw;
      while (task.claim(from, to)) {
        for (std::uint32_t k = from; k < to; ++k) {
          if (!task.starts(k)) return;
          task.fail(k, stage::decoding, task.out().size());
          task.finished(k);
        }
      }
    }
  }

  static constexpr auto callable = type_name<F>();
  static constexpr entry_point entry{entry_point::magic_value, name_hash<invocation>(),
                                     &invocation::run, callable.data()};

 private:
  template <std::size_t... I, class... A>
  static void put_packed(std::byte * at, std::index_sequence<I...>, const A&... args) {
    [[maybe_unused]] constexpr auto places = packed::compute();
    [[maybe_unused]] auto one = [at](std::size_t place, const auto& value) {
      std::memcpy(at + place, &value, sizeof value);
    };
    (one(places.at[I], static_cast<const W&>(args)), ...);
  }

  static void run_items(task_run & task, reader in, F & f) {
    std::uint32_t from = 0;
    std::uint32_t to = 0;
    if constexpr (packed_arguments) {
      constexpr std::size_t stride = argument_stride();
      const std::byte* items = in.take(0) + stride * task.first();
      in.take(stride * (task.first() + std::size_t{task.count()}));
      while (task.claim(from, to)) {
        for (std::uint32_t k = from; k < to; ++k) {
          if (!task.starts(k)) return;
          one_item(task, k, f, [&] { return unpack_packed(items + stride * k, places{}); });
        }
      }
    } else {
      for (std::uint32_t i = 0; i < task.first(); ++i) next_record(in);
      while (task.claim(from, to)) {
        for (std::uint32_t k = from; k < to; ++k) {
          if (!task.starts(k)) return;
          one_item(task, k, f, [&] {
            reader item = next_record(in);
            return unpack(item, places{});
          });
        }
      }
    }
  }

  using places = std::index_sequence_for<W...>;

  template <std::size_t... I>
  static std::tuple<W...> unpack_packed([[maybe_unused]] const std::byte* at,
                                        std::index_sequence<I...>) {
    [[maybe_unused]] constexpr auto where = packed::compute();
    return std::tuple<W...>{make_from_bytes<W>(at + where.at[I])...};
  }

  template <std::size_t... I>
  static std::tuple<W...> unpack([[maybe_unused]] reader & item, std::index_sequence<I...>) {
    return std::tuple<W...>{decode<W>(item, only_looks<F, I>)...};
  }

  static reader next_record(reader & in) {
    record_header h{};
    in.raw(&h, sizeof h);
    reader item(in.take(h.size), h.size);
    in.align(record_alignment);
    return item;
  }

  template <class Call>
  static void keep_result(task_run & task, const Call& call) {
    using returned = std::invoke_result_t<const Call&>;
    using kept = std::decay_t<returned>;
    constexpr bool can_keep =
        std::is_object_v<returned> ||
        (!std::is_void_v<returned> && std::is_constructible_v<kept, returned>);
    if constexpr (!can_keep) {
      static_cast<void>(call());  // void, or a reference to what cannot be copied
    } else {
      struct holder {  // made in place: what cannot even move may be kept
        kept value;
      };
      auto made = std::shared_ptr<holder>(new holder{call()});
      kept* value = &made->value;
      task.keep({std::shared_ptr<void>(std::move(made), value), &typeid(kept)});
    }
  }

  template <class Arguments>
  static void one_item(task_run & task, std::uint32_t k, F & f, const Arguments& arguments) {
    stage at = stage::decoding;
    std::size_t before = task.out().size();
    try {
      std::tuple<W...> args = arguments();
      at = stage::calling;
      auto call = [&]() -> decltype(auto) {
        return std::apply(
            [&](W&... a) -> decltype(auto) {
              return std::invoke(static_cast<callee<F, W...>>(f), std::forward<W>(a)...);
            },
            args);
      };
      if constexpr (std::is_void_v<R>) {
        static_cast<void>(call());
      } else if constexpr (std::is_same_v<R, stays>) {
        keep_result(task, call);
      } else {
        R result(call());
        at = stage::encoding;
        if constexpr (fixed_result) {
          std::memcpy(task.out().data() + k * sizeof(R), &result, sizeof(R));
        } else {
          std::size_t record = open_record(task.out(), k, record_kind::value);
          encode(task.out(), result, passing::returned);
          close_record(task.out(), record);
        }
      }
    } catch (throw_probe&) {
      throw;  // never: asked whether it is for this handler, it notes where it was thrown
    } catch (abi::__forced_unwind&) {
      throw;  // pthread_exit ends the process, not the item
    } catch (...) {
      task.fail(k, at, before);
    }
    task.finished(k);
  }
};

}  // namespace procpool::detail
