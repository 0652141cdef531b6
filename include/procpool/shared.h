// SPDX-License-Identifier: MIT
// A value that every worker of a pool has, sent once:
//
//     auto table = pool.share(std::vector<double>{...});
//     pool.map([table](int i) { return (*table)[i]; }, ids);
//     pool.unshare(table);
//
// The handle is 16 plain bytes: lambdas capture it, arguments, results and aggregates hold it.
#pragma once

#include <concepts>
#include <cstddef>
#include <exception>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "procpool/codec.h"
#include "procpool/detail/engine.h"
#include "procpool/detail/published.h"
#include "procpool/detail/type_name.h"
#include "procpool/shared_vector.h"

namespace procpool::detail {

/// How a shared T is seen in a task: as itself, read from bytes once in each worker.
template <class T>
struct shared_form {
  static constexpr bool sendable = procpool::sendable<T> && !brings_descriptor<T>;
  using view = const T&;
  static void write(writer& out, const T& value) { encode(out, value); }
  static view read(const published_name& name) {
    const void* object = decode_published(
        name, name_hash<T>(), +[](std::span<const std::byte> bytes) -> std::shared_ptr<const void> {
          try {
            reader in(bytes.data(), bytes.size());
            return std::make_shared<const T>(decode<T>(in));
          } catch (const serialization_error&) {
            throw;
          } catch (...) {
            std::throw_with_nested(
                serialization_error("procpool: decoding a shared value threw in the worker"));
          }
        });
    return *static_cast<const T*>(object);
  }
};

template <class T>
concept mappable = plain<T> && alignof(T) <= published_alignment;

/// ... where it lies.
template <mappable T>
struct shared_form<T> {
  static constexpr bool sendable = true;
  using view = const T&;
  static void write(writer& out, const T& value) { out.raw(std::addressof(value), sizeof value); }
  static view read(const published_name& name) {
    const auto bytes = find_published(name, name_hash<T>());
    if (bytes.size() != sizeof(T)) malformed("procpool: a shared value has the wrong size");
    return *reinterpret_cast<const T*>(bytes.data());
  }
};

/// ... as a view of its elements, where they lie.
template <class T, class View>
struct shared_elements {
  static constexpr bool sendable = true;
  using view = View;
  using element = typename View::value_type;
  static void write(writer& out, const auto& value) {
    out.raw(value.data(), value.size() * sizeof(element));
  }
  static view read(const published_name& name) {
    const auto bytes = find_published(name, name_hash<T>());
    if (bytes.size() % sizeof(element) != 0)
      malformed("procpool: a shared value has the wrong size");
    return {reinterpret_cast<const element*>(bytes.data()), bytes.size() / sizeof(element)};
  }
};
template <mappable E, class Allocator>
requires(form_of<std::vector<E, Allocator>> == form::block)  // not of bool
    struct shared_form<std::vector<E, Allocator>>
    : shared_elements<std::vector<E, Allocator>, std::span<const E>> {
};
template <mappable E>
struct shared_form<std::span<const E>> : shared_elements<std::span<const E>, std::span<const E>> {};
template <class E>
struct shared_form<shared_vector<E>> : shared_elements<shared_vector<E>, std::span<const E>> {};
template <class C, class Traits, class Allocator>
struct shared_form<std::basic_string<C, Traits, Allocator>>
    : shared_elements<std::basic_string<C, Traits, Allocator>, std::basic_string_view<C, Traits>> {
};

/// Writes what shared_form<T> reads.
template <class T, class From>
void share(writer& out, const From& from) {
  if constexpr (std::same_as<T, From>) {
    shared_form<T>::write(out, from);
  } else if constexpr (std::same_as<std::decay_t<From>, const char*> ||
                       std::same_as<std::decay_t<From>, char*>) {
    const char* text = from;
    if (text == nullptr) throw std::invalid_argument("procpool: a null char* was shared");
    shared_form<T>::write(out, std::string_view(text));
  } else {
    shared_form<T>::write(out, from);
  }
}

/// A vector that is given away; of this pool's memory no copy is made.
template <class T>
std::shared_ptr<const published> publish_given(engine& e, shared_vector<T>& v) {
  const shared_vector<T> given = std::move(v);
  if (const vector_memory* memory = vector_access::memory(given); memory != nullptr)
    if (auto value = memory->published_in(e)) return value;
  return e.publish([&](writer& out) { share<shared_vector<T>>(out, given); }, vector_type<T>());
}

template <class View>
struct arrow {
  View view;
  const View* operator->() const noexcept { return &view; }
};

}  // namespace procpool::detail

namespace procpool {

/// Names a value that a pool shares: made by pool.share(), good in that pool's tasks until
/// pool.unshare() or the pool's end. Nothing is owned: copy it as you like.
///
/// In a task *h is a view straight into read-only memory that all workers have in common, for a
/// vector, shared_vector, string or span of plain elements (std::span<const E>, std::string_view)
/// and for any other plain T (const T&): no worker has a copy, and looking costs some nanoseconds.
/// Of anything else a worker makes its own copy the first time (const T&). From any thread of a
/// worker.
///
/// Throws procpool::error when the value is not there (unshared, or of another pool),
/// serialization_error when decoding it threw, std::logic_error outside a task.
template <class T>
class shared {
  using form = detail::shared_form<T>;

 public:
  using view = typename form::view;

  shared() = default;
  [[nodiscard]] view get() const { return form::read(name_); }
  [[nodiscard]] view operator*() const { return get(); }
  auto operator->() const {
    if constexpr (std::is_reference_v<view>)
      return std::addressof(get());
    else
      return detail::arrow<view>{get()};
  }
  friend bool operator==(const shared&, const shared&) = default;

 private:
  friend class pool;
  explicit shared(const detail::published_name& name) noexcept : name_(name) {}
  detail::published_name name_;
};

}  // namespace procpool
