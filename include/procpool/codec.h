// SPDX-License-Identifier: MIT
// How a value becomes bytes and a value again. For a type T, the first of these that fits:
//
//   1. cereal functions that you wrote for T: serialize, save and load, save_minimal and
//      load_minimal, as members or beside T, with versions, names and cereal::access
//   2. its bytes, when T is trivially copyable and free of pointers (procpool::enable_bytes
//   vouches)
//   3. std::string, std::vector and the like of such elements: one copy of one block
//   4. the standard containers, pair, tuple, optional, variant, unique_ptr, filesystem::path, ...
//   5. pointers to functions, member functions and data members: their place in the program. Who
//   calls one that a task returned trusts the task.
//   6. aggregates, field by field: up to 24 fields, no base class; nothing to write
//   7. procpool::shared_vector: where its elements lie, not they, wherever that can be (there)
//   8. an open descriptor (procpool::fd): to a worker only
//
// Anything else cannot be sent; procpool::sendable<T> says so without an error. std::shared_ptr is
// among it: that two of them share would be lost. So is a type without a default constructor,
// unless its bytes are sent. What derives from a class that has cereal functions inherits them, as
// always with cereal: give it its own when it adds members.
//
// What the functions of a type throw passes through, both ways. Bytes that make no sense are
// serialization_error. Nothing is kept but what the value keeps; used by any thread.
#pragma once

#include <cereal/types/array.hpp>
#include <cereal/types/deque.hpp>
#include <cereal/types/forward_list.hpp>
#include <cereal/types/list.hpp>
#include <cereal/types/optional.hpp>
#include <cereal/types/queue.hpp>
#include <cereal/types/stack.hpp>
#include <cereal/types/tuple.hpp>
#include <cereal/types/utility.hpp>
#include <cereal/types/variant.hpp>
#include <cereal/types/vector.hpp>

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <memory>
#include <span>
#include <string_view>
#include <type_traits>
#include <utility>

#include "procpool/detail/archive.h"
#include "procpool/detail/code.h"
#include "procpool/detail/descriptor.h"
#include "procpool/detail/fields.h"
#include "procpool/detail/form.h"
#include "procpool/detail/vector_codec.h"

namespace procpool::detail {

// ---- blocks -------------------------------------------------------------------------------------

template <class T>
concept viewable = plain<T> && alignof(T) <= message_alignment;

/// Their bytes. An empty object has none of its own: what lies there may be another field's.
template <class T>
void write_objects(writer& out, const T* data, std::size_t n) {
  if constexpr (!std::is_empty_v<T>)
    out.raw(data, n * sizeof(T));
  else if (n != 0)
    std::memset(out.extend(n * sizeof(T)), 0, n * sizeof(T));
}

/// What vector<T>, basic_string<T> and span<const T> look like: a count, padding, the elements.
template <class T>
void write_block(writer& out, const T* data, std::size_t n) {
  write_count(out, n);
  out.align(block_alignment<T>);
  write_objects(out, data, n);
}
template <class T>
const std::byte* read_block(reader& in, std::size_t& n) {
  n = read_count(in, sizeof(T));
  in.align(block_alignment<T>);
  return in.take(n * sizeof(T));
}

// ---- bytes --------------------------------------------------------------------------------------

inline bool checked_bool(const std::byte* from) {
  unsigned char byte = 0;
  std::memcpy(&byte, from, 1);
  if (byte > 1) malformed("procpool: a bool is neither true nor false");
  return byte == 1;
}

/// Refuses a T, copied from bytes, that holds a bool which is neither true nor false.
template <class T>
void check_bytes(const T& value) {
  if constexpr (is_picky<T>()) {
    if constexpr (std::is_array_v<T> || array_like<T>) {
      for (const auto& element : value) check_bytes(element);
    } else if constexpr (bitset_like<T>) {
      T bits = value;
      if (bits.flip().flip() != value) malformed("procpool: a bitset has a bit too many");
    } else if constexpr (std::is_class_v<T>) {
      visit_fields(value, [](const auto&... field) { (check_bytes(field), ...); });
    } else {
      checked_bool(reinterpret_cast<const std::byte*>(&value));
    }
  }
}

template <class T>
T make_from_bytes(const std::byte* from) {
  struct bytes {
    std::byte at[sizeof(T)];
  } copy;
  std::memcpy(copy.at, from, sizeof(T));
  return std::bit_cast<T>(copy);
}

/// The same, refused when it would be no T.
template <class T>
T make_checked(const std::byte* from) {
  if constexpr (is_picky<T>() && !std::is_class_v<T>) {
    // Compilers take a bool for one of two: another must not come to be.
    return static_cast<T>(checked_bool(from));
  } else {
    T value = make_from_bytes<T>(from);
    check_bytes(value);
    return value;
  }
}

/// Elements that lie where a T may not: each is copied out.
template <class T>
struct unaligned_iterator {
  using value_type = T;
  using difference_type = std::ptrdiff_t;
  using reference = T;
  using pointer = void;
  using iterator_category = std::forward_iterator_tag;
  const std::byte* at = nullptr;

  T operator*() const { return make_from_bytes<T>(at); }
  unaligned_iterator& operator++() {
    at += sizeof(T);
    return *this;
  }
  unaligned_iterator operator++(int) {
    unaligned_iterator old = *this;
    ++*this;
    return old;
  }
  unaligned_iterator& operator+=(difference_type n) {
    at += n * static_cast<difference_type>(sizeof(T));
    return *this;
  }
  friend difference_type operator-(unaligned_iterator a, unaligned_iterator b) {
    return (a.at - b.at) / static_cast<difference_type>(sizeof(T));
  }
  friend bool operator==(unaligned_iterator, unaligned_iterator) = default;
};

// ---- any value ----------------------------------------------------------------------------------

// A count can be checked against the bytes that are left because every value takes at least one. A
// value whose functions wrote nothing is given one.
inline void pad_nothing(encoder& e, std::size_t before) {
  if (e.out.size() == before) *e.out.extend(1) = std::byte{0};
}
inline void take_padding(decoder& d, std::size_t before) {
  if (d.in.position() == before) d.in.take(1);
}

template <class T>
void write_by_cereal(encoder& e, const T& value) {
  const std::size_t before = e.out.size();
  if (e.archive != nullptr)
    e.archive->run(value);
  else
    output_archive(e).run(value);
  pad_nothing(e, before);
}
template <class T>
void read_by_cereal(decoder& d, T& value, std::size_t least) {
  const std::size_t before = d.in.position();
  if (d.archive != nullptr)
    d.archive->run(value, least);
  else
    input_archive(d).run(value, least);
  take_padding(d, before);
}

template <class T>
void write_value(encoder& e, const T& value) {
  constexpr form how = form_of<T>;
  static_assert(how != form::none);
  if constexpr (how == form::apart) {
    write_vector(e, value);
  } else if constexpr (how == form::codec) {
    level deeper(e);
    write_by_cereal(e, value);
  } else if constexpr (how == form::bytes) {
    write_objects(e.out, std::addressof(value), 1);
  } else if constexpr (how == form::block) {
    write_block(e.out, value.data(), value.size());
  } else if constexpr (how == form::keyed) {
    write_count(e.out, value.size());
    for (const auto& element : value) {
      if constexpr (map_like<T>) {
        write_value(e, element.first);
        write_value(e, element.second);
      } else {
        write_value(e, element);
      }
    }
  } else if constexpr (how == form::standard) {
    write_by_cereal(e, value);
  } else if constexpr (how == form::path) {
    write_value(e, value.native());
  } else if constexpr (how == form::pointer) {
    write_value(e, value != nullptr);
    if (value != nullptr) write_value(e, *value);
  } else if constexpr (how == form::code) {
    write_code(e.out, reinterpret_cast<const void*>(value));
  } else if constexpr (how == form::member) {
    write_member_function(e.out, value);
  } else if constexpr (how == form::offset) {
    e.out.raw(&value, sizeof value);
  } else if constexpr (how == form::file) {
    write_descriptor(e.out, value);
  } else if constexpr (how == form::array) {
    for (const auto& element : value) write_value(e, element);
  } else {
    level deeper(e);
    visit_fields(value, [&e](const auto&... field) { (write_value(e, field), ...); });
  }
}

template <class T>
T make_value(decoder& d);

template <class T>
void read_bytes(reader& in, T& value) {
  if constexpr (std::is_empty_v<T>) {
    in.take(sizeof(T));  // it may share its address with another field
  } else {
    in.raw(static_cast<void*>(std::addressof(value)), sizeof value);
    check_bytes(value);
  }
}

template <class T>
void read_block_into(reader& in, T& value) {
  using E = typename T::value_type;
  std::size_t n = 0;
  const std::byte* at = read_block<E>(in, n);
  if constexpr (std::is_same_v<T, std::vector<E>>) {
    if (n > value.capacity() && n * sizeof(E) >= own_mapping) {
      value.reserve(n);
      prefer_huge_pages(value.data(), n * sizeof(E));
    }
  }
  if (aligned(at, alignof(E))) {
    const E* first = reinterpret_cast<const E*>(at);
    value.assign(first, first + n);
  } else {
    value.assign(unaligned_iterator<E>{at}, unaligned_iterator<E>{at + n * sizeof(E)});
  }
  if constexpr (is_picky<E>())
    for (const E& element : value) check_bytes(element);
}

template <class T>
inline constexpr std::size_t alternatives = 0;
template <class... A>
inline constexpr std::size_t alternatives<std::variant<A...>> = sizeof...(A);

// cereal's functions for maps and sets would bring equal keys back in reverse.
template <class T>
void read_keyed(decoder& d, T& value) {
  using K = typename T::key_type;
  const std::size_t n = read_count(d.in, least_sum(typename parts<T>::type{}));
  value.clear();
  if constexpr (requires { value.reserve(n); }) value.reserve(n);
  for (std::size_t i = 0; i < n; ++i) {
    K key = make_value<K>(d);
    if constexpr (map_like<T>)
      value.emplace_hint(value.end(), std::move(key), make_value<typename T::mapped_type>(d));
    else
      value.emplace_hint(value.end(), std::move(key));
  }
}

template <class T>
void read_value(decoder& d, T& value) {
  constexpr form how = form_of<T>;
  static_assert(how != form::none);
  if constexpr (how == form::apart) {
    read_vector(d, value);
  } else if constexpr (how == form::codec) {
    reader::level deeper(d.in);
    read_by_cereal(d, value, 1);
  } else if constexpr (how == form::bytes) {
    read_bytes(d.in, value);
  } else if constexpr (how == form::block) {
    read_block_into(d.in, value);
  } else if constexpr (how == form::keyed) {
    read_keyed(d, value);
  } else if constexpr (how == form::standard) {
    std::size_t least = 1;
    if constexpr (container_like<T>) least = least_sum(typename parts<T>::type{});
    if constexpr (alternatives<T> != 0) {
      reader ahead = d.in;
      std::int32_t index = -1;
      ahead.raw(&index, sizeof index);
      if (index < 0 || static_cast<std::size_t>(index) >= alternatives<T>)
        malformed("procpool: a variant has no such alternative");
    }
    read_by_cereal(d, value, least);
  } else if constexpr (how == form::path) {
    value = T(make_value<std::string>(d));
  } else if constexpr (how == form::pointer) {
    using E = typename T::element_type;
    if (!make_value<bool>(d))
      value.reset();
    else if constexpr (plain<E>)
      value.reset(new E(make_value<E>(d)));
    else {
      T made(new E());
      read_value(d, *made);
      value = std::move(made);
    }
  } else if constexpr (how == form::code) {
    value = reinterpret_cast<T>(const_cast<void*>(read_code(d.in)));
  } else if constexpr (how == form::member) {
    value = read_member_function<T>(d.in);
  } else if constexpr (how == form::offset) {
    read_data_member(d.in, value);
  } else if constexpr (how == form::file) {
    value = read_descriptor(d.in);
  } else if constexpr (how == form::array) {
    for (auto& element : value) read_value(d, element);
  } else {
    reader::level deeper(d.in);
    visit_fields(value, [&d](auto&... field) { (read_value(d, field), ...); });
  }
}

template <class T>
T make_value(decoder& d) {
  if constexpr (!plain<T>) {
    T value{};
    read_value(d, value);
    return value;
  } else if constexpr (std::is_trivially_default_constructible_v<T> && !std::is_const_v<T>) {
    T value;
    read_bytes(d.in, value);
    return value;
  } else {
    return make_checked<T>(d.in.take(sizeof(T)));
  }
}

// A base class may share its last bytes with the members of what derives from it, so its bytes are
// assigned, not copied over it.
template <class T>
inline constexpr bool is_plain_base = false;
template <class B>
inline constexpr bool is_plain_base<cereal::base_class<B>> =
    plain<B>&& std::is_move_assignable_v<B>;

template <class T>
void output_archive::one(const T& value) {
  if constexpr (is_name_value<T>)
    one(value.value);
  else if constexpr (is_size_tag<T>)
    count(value.size);
  else if constexpr (is_binary<T>)
    raw(value.data, static_cast<std::size_t>(value.size));
  else if constexpr (is_map_item<T>) {
    one(value.key);
    one(value.value);
  } else if constexpr (is_plain_base<T>)
    write_value(encoder_, *value.base_ptr);
  else if constexpr (encodable<T>)
    write_value(encoder_, value);
  else
    run(value);
}

template <class T>
void input_archive::one(T& value) {
  using U = std::remove_const_t<T>;  // cereal's wrappers may be const, what they refer to is not
  if constexpr (is_name_value<U>)
    one(value.value);
  else if constexpr (is_size_tag<U>)
    value.size = count();
  else if constexpr (is_binary<U>)
    raw(value.data, static_cast<std::size_t>(value.size));
  else if constexpr (is_map_item<U>) {
    one(value.key);
    one(value.value);
  } else if constexpr (is_plain_base<U>)
    *value.base_ptr = make_value<std::remove_reference_t<decltype(*value.base_ptr)>>(decoder_);
  else if constexpr (encodable<U>)
    read_value(decoder_, value);
  else
    base::operator()(value);
}

// ---- the door -----------------------------------------------------------------------------------

template <class T>
inline constexpr bool is_view = false;
template <>
inline constexpr bool is_view<std::string_view> = true;
template <class T>
inline constexpr bool is_view<std::span<const T>> = viewable<T>;

/// The same bytes as a vector, or a string, of the same elements.
template <class T>
void encode_view(writer& out, std::span<const T> view) {
  write_block(out, view.data(), view.size());
}

/// Appends the value; throws what its functions throw, and may then have appended a part. Unless
/// copied, the shared_vectors in it may be empty then, in any case.
template <class T>
void encode(writer& out, const T& value, passing how = passing::copied) {
  if constexpr (is_view<T>) {
    encode_view(out, std::span<const typename T::value_type>(value));
  } else {
    encoder e(out, how);
    write_value(e, value);
  }
}

/// Reads what encode() wrote of the same T, or of a container with the same elements when T is a
/// view: span<const E> or string_view, which then lie in the message. `lends`, `blocks`: see
/// decoder.
template <class T>
T decode(reader& in, bool lends = false, result_blocks* blocks = nullptr) {
  if constexpr (is_view<T>) {
    using E = typename T::value_type;
    std::size_t n = 0;
    const std::byte* at = read_block<E>(in, n);
    if (!aligned(at, alignof(E))) malformed("procpool: a message is not aligned");
    T view(reinterpret_cast<const E*>(at), n);
    if constexpr (is_picky<E>())
      for (const E& element : view) check_bytes(element);
    return view;
  } else {
    decoder d(in, lends, blocks);
    return make_value<T>(d);
  }
}

}  // namespace procpool::detail
