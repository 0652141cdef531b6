// SPDX-License-Identifier: MIT
// Pointers to functions and to members as bytes: by their place in a module, never as an address.
// Whoever reads one gets null or code of a module that is loaded. Used by codec.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "procpool/detail/buffer.h"

namespace procpool::detail {

/// A code address as (module, offset), and back; null is a value. write_code throws procpool::error
/// for a place in no module; read_code serialization_error where no code of this process is.
void write_code(writer& out, const void* address);
const void* read_code(reader& in);

// The C++ ABI's pointer to member function: two words. In one of them a bit says that the other is
// an offset into the object's virtual table, not a code address.
struct member_words {
  std::uintptr_t code;
  std::uintptr_t adjustment;

#if defined(__aarch64__) || defined(__arm__)
  [[nodiscard]] bool is_virtual() const { return (adjustment & 1) != 0; }
  [[nodiscard]] std::uintptr_t table_offset() const { return code; }
#else
  [[nodiscard]] bool is_virtual() const { return (code & 1) != 0; }
  [[nodiscard]] std::uintptr_t table_offset() const { return code - 1; }
#endif
  /// No class has so many virtual functions.
  static constexpr std::uintptr_t largest_table = 1u << 20;
};

template <class F>
void write_member_function(writer& out, F f) {
  static_assert(sizeof(F) == sizeof(member_words));
  member_words words;
  std::memcpy(&words, &f, sizeof words);
  const unsigned char is_virtual = words.is_virtual() ? 1 : 0;
  out.raw(&is_virtual, 1);
  out.raw(&words.adjustment, sizeof words.adjustment);
  if (is_virtual != 0)
    out.raw(&words.code, sizeof words.code);
  else
    write_code(out, reinterpret_cast<const void*>(words.code));
}
template <class F>
F read_member_function(reader& in) {
  unsigned char is_virtual = 0;
  in.raw(&is_virtual, 1);
  member_words words{};
  in.raw(&words.adjustment, sizeof words.adjustment);
  if (is_virtual != 0)
    in.raw(&words.code, sizeof words.code);
  else
    words.code = reinterpret_cast<std::uintptr_t>(read_code(in));
  if (is_virtual > 1 || words.is_virtual() != (is_virtual == 1) ||
      (words.is_virtual() && (words.table_offset() % sizeof(void*) != 0 ||
                              words.table_offset() >= member_words::largest_table)))
    throw serialization_error("procpool: this is no pointer to a member function");
  F f;
  std::memcpy(&f, &words, sizeof f);
  return f;
}

template <class C, class M>
void read_data_member(reader& in, M C::*& to) {
  std::ptrdiff_t offset = 0;
  in.raw(&offset, sizeof offset);
  constexpr auto last =
      static_cast<std::ptrdiff_t>(sizeof(C)) - static_cast<std::ptrdiff_t>(sizeof(M));
  if (offset < -1 || offset > last)  // -1: null
    throw serialization_error("procpool: this pointer to a member lies outside its class");
  static_assert(sizeof to == sizeof offset);
  std::memcpy(&to, &offset, sizeof to);
}

}  // namespace procpool::detail
