// SPDX-License-Identifier: MIT
// Exceptions as bytes and back. A record is a count of levels, then the levels, outermost first:
//
//   name of a type in the table (mangled) | type as thrown, demangled | what() | what the type
//   needs
//
// Names are demangled where they come from: the demangler is no place for bytes of unknown descent.
#include "core/failure.h"

#include <cxxabi.h>

#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <typeinfo>
#include <vector>

#include "core/exception_table.h"
#include "core/plain_bytes.h"
#include "core/readable.h"

namespace procpool::core {
namespace {

using detail::reader;
using detail::writer;

/// The outermost exception, its causes, and the note.
constexpr std::uint32_t most_levels = 1 + deepest_cause + 1;

/// `needs` writes what the type needs.
template <class Needs>
void put_level(writer& out, const std::type_info& known, std::string_view type,
               std::string_view text, Needs needs) {
  put_text(out, known.name());
  put_text(out, type);
  put_text(out, text);
  const std::size_t at = out.size();
  put_number<std::uint64_t>(out, 0);
  needs();
  const std::uint64_t size = out.size() - at - sizeof size;
  std::memcpy(out.data() + at, &size, sizeof size);
}

/// What cannot be rebuilt on the other side.
void put_stranger(writer& out, std::string_view type, std::string_view text) {
  put_level(out, typeid(remote_error), type, text, [] {});
}

std::exception_ptr cause_of(const std::exception& e) noexcept {
  const auto* nested = dynamic_cast<const std::nested_exception*>(&e);
  return nested != nullptr ? nested->nested_ptr() : nullptr;
}

/// In a handler: the cause of an exception that is no std::exception.
std::exception_ptr cause_at_hand() noexcept {
  try {
    throw;
  } catch (const std::nested_exception& nested) {
    return nested.nested_ptr();
  } catch (...) {
    return nullptr;
  }
}

void put_exception(writer& out, const std::exception& e) {
  const std::type_info& type = type_as_written(typeid(e));
  const remote_info* before = remote_info::of(e);
  const std::string name = before != nullptr ? before->type : readable(type);
  const char* said = e.what();
  const std::string_view text = said != nullptr ? said : "";
  if (const exception_type* known = find_exception_type(type))
    put_level(out, *known->type, name, text, [&] { known->encode(out, e); });
  else
    put_stranger(out, name, name + ": " + std::string(text));
}

template <class T>
bool integer_at_hand(const std::type_info& type, std::string& value) {
  if (type != typeid(T)) return false;
  try {
    throw;
  } catch (const T& number) {
    value = std::to_string(number);
  }
  return true;
}

template <class... T>
bool one_of_these_at_hand(const std::type_info& type, std::string& value) {
  return (integer_at_hand<T>(type, value) || ...);
}

/// In a handler: the words for what was thrown, which is no std::exception. Empty: there are none.
std::string value_at_hand(const std::type_info& type) {
  std::string value;
  if (one_of_these_at_hand<int, unsigned, long, unsigned long, long long, unsigned long long, short,
                           unsigned short, char, signed char, unsigned char, bool>(type, value))
    return value;
  try {
    throw;
  } catch (const std::string& text) {
    return text;
  } catch (const char* text) {
    return text != nullptr ? text : "a null pointer";
  } catch (
      const std::runtime_error& e) {  // twice a std::exception: a handler of that finds neither
    return e.what();
  } catch (const std::logic_error& e) {
    return e.what();
  } catch (...) {
    return {};
  }
}

/// Writes one level; returns its cause.
std::exception_ptr put_one(writer& out, const std::exception_ptr& error) {
  if (!error) {  // what std::current_exception says of an exception of another language
    put_stranger(out, "", "procpool: the task threw something that is no C++ exception");
    return nullptr;
  }
  try {
    std::rethrow_exception(error);
  } catch (const std::exception& e) {
    put_exception(out, e);
    return cause_of(e);
  } catch (...) {
    const std::type_info& type = type_as_written(*abi::__cxa_current_exception_type());
    const std::string name = readable(type);
    const std::string value = value_at_hand(type);
    put_stranger(out, name, value.empty() ? name : name + ": " + value);
    return cause_at_hand();
  }
}

// ---- on the other side --------------------------------------------------------------------------

struct level {
  std::string_view known;
  std::string_view type;
  std::string_view text;
  std::span<const std::byte> needs;
};

[[noreturn]] void nonsense(int pid) {
  throw serialization_error("procpool: what worker " + std::to_string(pid) +
                            " wrote of an exception makes no sense");
}

std::exception_ptr rebuild(const level& from, int pid, std::exception_ptr cause) {
  far_side side;
  side.info.type = from.type;
  side.info.pid = pid;
  side.text = from.text;
  side.cause = std::move(cause);
  const exception_type* known = find_exception_type(from.known);
  if (known == nullptr) nonsense(pid);
  reader in(from.needs.data(), from.needs.size());
  std::exception_ptr made = known->decode(in, std::move(side));
  if (in.left() != 0) nonsense(pid);
  return made;
}

std::exception_ptr decode(std::span<const std::byte> bytes, int pid) {
  reader in(bytes.data(), bytes.size());
  const auto count = get_number<std::uint32_t>(in);
  if (count == 0 || count > most_levels) nonsense(pid);
  std::vector<level> levels(count);
  for (level& l : levels) {
    l.known = get_text(in);
    l.type = get_text(in);
    l.text = get_text(in);
    l.needs = get_bytes(in);
  }
  if (in.left() != 0) nonsense(pid);
  std::exception_ptr made;
  for (; !levels.empty(); levels.pop_back()) made = rebuild(levels.back(), pid, std::move(made));
  return made;
}

}  // namespace

void encode_error(writer& out, const std::exception_ptr& error) {
  const std::size_t at = out.size();
  put_number<std::uint32_t>(out, 0);
  std::exception_ptr next = put_one(out, error);
  std::uint32_t count = 1;
  for (; next && count <= deepest_cause; ++count) next = put_one(out, next);
  if (next) {
    put_stranger(out, readable(typeid(remote_error)), "procpool: deeper causes were left out");
    ++count;
  }
  std::memcpy(out.data() + at, &count, sizeof count);
}

}  // namespace procpool::core

namespace procpool::detail {

std::exception_ptr decode_error(std::span<const std::byte> bytes, int pid) noexcept {
  try {
    return core::decode(bytes, pid);
  } catch (...) {
    return std::current_exception();
  }
}

std::exception_ptr nest(const serialization_error& outer,
                        const std::exception_ptr& cause) noexcept {
  return core::nest(outer, cause);
}

}  // namespace procpool::detail
