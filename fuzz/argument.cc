// SPDX-License-Identifier: MIT
// Bytes, decoded as a value of each type that can be sent: there is a value or an exception; a
// value can be sent on, and arrives as what it was.
#include <array>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <new>
#include <optional>
#include <utility>
#include <vector>

#include "input.h"
#include "program.h"
#include "samples.h"

namespace procpool::fuzz {
namespace {

/// No value when the bytes make none.
template <class T>
std::optional<T> read(detail::reader& in) {
  try {
    return std::optional<T>(std::in_place, detail::decode<T>(in));
  } catch (const std::bad_alloc&) {
    require(false, "memory is taken for what is there");
  } catch (const std::exception&) {
  }
  return std::nullopt;
}

template <class T>
std::vector<std::byte> bytes_of(const T& value) {
  detail::vector_writer out;
  detail::encode(out, value);
  return out.take();
}

/// False: the bytes made no value.
template <class T>
bool run(detail::reader& from) {
  const std::optional<T> value = read<T>(from);
  if (!value) return false;
  const std::vector<std::byte> sent = bytes_of(*value);
  detail::reader in(sent.data(), sent.size());
  const std::optional<T> again = read<T>(in);
  require(again.has_value(), "what was decoded can be sent on");
  require(in.left() == 0, "all that was sent on is read");
  if constexpr (requires { value->bucket_count(); })
    require(value->size() == again->size(), "what hangs in buckets comes back, in some order");
  else  // as bytes: a number need not equal itself
    require(bytes_of(*again) == sent, "what was sent on is what it was");
  return true;
}

template <class... T, class... Returned, class... View>
constexpr auto runs(types<T...>, types<Returned...>, types<View...>) {
  return std::array{&run<T>..., &run<Returned>..., &run<View>...};
}

}  // namespace
}  // namespace procpool::fuzz

// A call's arguments, one behind the other: which type each is, then the value.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace procpool::fuzz;
  constexpr auto all = runs(also_sent{}, returned{}, views{});
  auto bytes = input(data, size).rest();
  name_program(bytes);
  procpool::detail::reader in(bytes.data(), bytes.size());
  while (in.left() != 0) {
    const auto kind = static_cast<std::size_t>(*in.take(1));
    if (!all[kind % all.size()](in)) break;
  }
  return 0;
}
