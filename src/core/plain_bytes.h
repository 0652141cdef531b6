// SPDX-License-Identifier: MIT
// Numbers and texts as bytes, for what the compiled core itself sends. A text is its length and its
// characters; reading checks each length against the bytes that are left before it is believed.
#pragma once

#include <concepts>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "procpool/detail/buffer.h"
#include "procpool/error.h"
#include "procpool/stacktrace.h"

namespace procpool::core {

template <std::integral T>
void put_number(detail::writer& out, T value) {
  out.raw(&value, sizeof value);
}

template <std::integral T>
T get_number(detail::reader& in) {
  T value;
  in.raw(&value, sizeof value);
  return value;
}

inline void put_text(detail::writer& out, std::string_view text) {
  put_number<std::uint64_t>(out, text.size());
  out.raw(text.data(), text.size());
}

inline std::span<const std::byte> get_bytes(detail::reader& in) {
  const auto size = get_number<std::uint64_t>(in);
  return {in.take(size), static_cast<std::size_t>(size)};
}

/// In place: the characters may still change under a hostile writer. Copy what is used twice.
inline std::string_view get_text(detail::reader& in) {
  const std::span<const std::byte> bytes = get_bytes(in);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// The frames of a stack.
inline void put_places(detail::writer& out, const std::vector<detail::place>& places) {
  put_number<std::uint64_t>(out, places.size());
  out.raw(places.data(), places.size() * sizeof(detail::place));
}

inline std::vector<detail::place> get_places(detail::reader& in) {
  const auto count = get_number<std::uint64_t>(in);
  if (count > in.left() / sizeof(detail::place))
    throw serialization_error("procpool: a stack that is longer than its bytes");
  std::vector<detail::place> places(count);
  in.raw(places.data(), places.size() * sizeof(detail::place));
  return places;
}

}  // namespace procpool::core
