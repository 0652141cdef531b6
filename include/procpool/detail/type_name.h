// SPDX-License-Identifier: MIT
// A type's name, and a number for a type. The number is the same in every process of the program:
// two ends that mean different types do not take each other's bytes. The name is for people.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace procpool::detail {

template <class T>
consteval std::uint64_t name_hash() {
  std::uint64_t h = 14695981039346656037ULL;  // FNV-1a
  for (const char* c = __PRETTY_FUNCTION__; *c != '\0'; ++c)
    h = (h ^ static_cast<unsigned char>(*c)) * 1099511628211ULL;
  return h;
}

template <class T>
consteval const char* named_type() {
  return __PRETTY_FUNCTION__;  // ... [with T = the name] or ... [T = the name]
}
/// As the compiler writes it, ended by a zero.
template <class T>
consteval auto type_name() {
  constexpr std::string_view all = named_type<T>();
  constexpr std::size_t from = all.find("T = ") + 4;
  constexpr std::size_t size = all.size() - 1 - from;
  std::array<char, size + 1> name{};
  for (std::size_t i = 0; i < size; ++i) name[i] = all[from + i];
  return name;
}

}  // namespace procpool::detail
