// SPDX-License-Identifier: MIT
// How a shared_vector becomes bytes: a kind, then its elements, or the name of what they lie in.
// Used by codec.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>

#include "procpool/detail/archive.h"
#include "procpool/shared_vector.h"

namespace procpool::detail {

/// Messages are aligned to 16: a type that wants more is copied out of them, never viewed in place.
inline constexpr std::size_t message_alignment = 16;

template <class T>
inline constexpr std::size_t block_alignment = sizeof(T) == 1                   ? 1
                                               : alignof(T) < message_alignment ? alignof(T)
                                                                                : message_alignment;

inline bool aligned(const std::byte* at, std::size_t boundary) {
  return reinterpret_cast<std::uintptr_t>(at) % boundary == 0;
}

enum class vector_kind : unsigned char {
  elements,   ///< a count, padding, the elements
  published,  ///< published_name, count: an argument
  block,      ///< the type's hash, place, count: a result
};

/// The name of `memory`, which goes with the message.
template <class T>
void write_given(encoder& e, vector_memory& memory, std::size_t n) {
  const bool result = e.how == passing::returned;
  const auto kind = result ? vector_kind::block : vector_kind::published;
  published_name name = memory.name();
  if (result) name.id = vector_type<T>();
  const std::uint64_t count = n;
  e.out.raw(&kind, sizeof kind);
  e.out.raw(&name, sizeof name);
  e.out.raw(&count, sizeof count);
  e.out.attach(memory.give());
}

template <class T>
void write_vector(encoder& e, const shared_vector<T>& v) {
  const std::size_t n = v.size();
  const bool may_name = e.how != passing::copied && e.out.home() != nullptr && n != 0;
  if (const vector_memory* m = vector_access::memory(v);
      may_name && m != nullptr && m->home() == e.out.home()) {
    write_given<T>(e, *vector_access::take(v), n);
    return;
  }
  if (may_name && e.how == passing::returned) {
    const auto own = allocate_here(n * sizeof(T));
    std::memcpy(own->data(), v.data(), n * sizeof(T));
    write_given<T>(e, *own, n);
  } else {
    constexpr auto kind = vector_kind::elements;
    e.out.raw(&kind, sizeof kind);
    write_count(e.out, n);
    e.out.align(block_alignment<T>);
    e.out.raw(v.data(), n * sizeof(T));
  }
  if (e.how != passing::copied) vector_access::take(v);
}

template <class T>
void read_vector(decoder& d, shared_vector<T>& value) {
  auto kind = vector_kind::elements;
  d.in.raw(&kind, sizeof kind);
  const std::byte* at = nullptr;
  std::size_t n = 0;
  if (kind == vector_kind::elements) {
    n = read_count(d.in, sizeof(T));
    d.in.align(block_alignment<T>);
    at = d.in.take(n * sizeof(T));
  } else {
    published_name name;
    std::uint64_t count = 0;
    d.in.raw(&name, sizeof name);
    d.in.raw(&count, sizeof count);
    n = static_cast<std::size_t>(count);
    const bool result = d.blocks != nullptr;
    if (kind != (result ? vector_kind::block : vector_kind::published))
      malformed("procpool: a shared_vector is neither here nor there");
    if (result) {
      if (name.id != vector_type<T>()) malformed("procpool: a shared_vector is of another type");
      if (n == 0 || n > std::numeric_limits<std::ptrdiff_t>::max() / sizeof(T))
        malformed("procpool: a shared_vector has an impossible size");
      value = vector_access::make<T>(
          n, [&](std::size_t bytes) { return d.blocks->take(name.at, bytes); });
      return;
    }
    const auto bytes = find_published(name, vector_type<T>());
    if (n > bytes.size() / sizeof(T)) malformed("procpool: a shared_vector has the wrong size");
    at = bytes.data();
  }
  if (n != 0 && d.lends && aligned(at, alignof(T))) {
    value = vector_access::lend<T>(at, n);
    return;
  }
  value = vector_access::make<T>(n, allocate_anywhere);
  if (n != 0) std::memcpy(value.data(), at, n * sizeof(T));
}

}  // namespace procpool::detail
