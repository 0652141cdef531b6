// SPDX-License-Identifier: MIT
// Exceptions as bytes and back. A record is a count of levels, then the levels, outermost first:
//
//   key of a type that both sides know | type as thrown, demangled | what() |
//   where it was thrown: a count, places | what the known type needs
//
// Names are demangled where they come from: the demangler is no place for bytes of unknown descent.
#include "core/failure.h"

#include <cxxabi.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <new>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/exception_registry.h"
#include "core/exception_table.h"
#include "core/plain_bytes.h"
#include "core/readable.h"
#include "core/throw_point.h"
#include "core/thrown.h"

namespace procpool::core {
namespace {

using detail::far_side;
using detail::place;
using detail::reader;
using detail::writer;

/// The outermost exception, its causes, and the note.
constexpr std::uint32_t most_levels = 1 + deepest_cause + 1;

struct level {
  type_key known;
  std::string_view type;
  std::string_view text;
  std::vector<place> places;
  std::span<const std::byte> needs;
};

void put_level(writer& out, const level& l) {
  put_text(out, l.known.name);
  out.raw(&l.known.place, sizeof l.known.place);
  put_text(out, l.type);
  put_text(out, l.text);
  const std::size_t count = std::min(l.places.size(), most_frames);
  put_number<std::uint32_t>(out, static_cast<std::uint32_t>(count));
  out.raw(l.places.data(), count * sizeof(place));
  put_number<std::uint64_t>(out, l.needs.size());
  out.raw(l.needs.data(), l.needs.size());
}

/// What cannot be made again on the other side: a remote_error that needs no more than this.
void put_stranger(writer& out, level& l) {
  l.known = key_of(typeid(remote_error));
  put_level(out, l);
}

std::string_view what_of(const std::exception* e) {
  const char* said = e != nullptr ? e->what() : nullptr;
  return said != nullptr ? said : "";
}

template <class... T>
std::string number(const thrown& it) {
  std::string value;
  const auto take = [&value](const auto* n) {
    if (n != nullptr) value = std::to_string(*n);
    return n != nullptr;
  };
  static_cast<void>((take(it.as<T>()) || ...));
  return value;
}

/// The words for what was thrown, which is no std::exception. Empty: there are none.
std::string value_of(const thrown& it) {
  if (const auto* text = it.as<std::string>()) return *text;
  if (const auto* text = it.as<const char*>()) return *text != nullptr ? *text : "a null pointer";
  if (const auto* text = it.as<char*>()) return *text != nullptr ? *text : "a null pointer";
  return number<int, unsigned, long, unsigned long, long long, unsigned long long, short,
                unsigned short, char, signed char, unsigned char, bool>(it);
}

const exception_type* find_known(const std::type_info& type) noexcept {
  const exception_type* known = find_in_table(type);
  return known != nullptr ? known : find_registered(type);
}

/// Bases that only a remote_error may replace: it is a std::exception too, carries a cause too, and
/// says more.
bool says_nothing(const std::type_info& type) noexcept {
  return type == typeid(std::exception) || type == typeid(std::nested_exception);
}

/// Writes it as a `type`, which it is or derives from; false: nobody knows that, or its own
/// functions threw.
bool put_as(writer& out, const thrown& it, const std::type_info& type, const level& l) {
  const void* object = upcast(it.object(), it.type(), type);
  const exception_type* known = object != nullptr ? find_known(type) : nullptr;
  if (known == nullptr) return false;
  if (says_nothing(type) && it.as_written() != type) return false;
  const std::size_t before = out.size();
  try {
    detail::vector_writer needs;
    known->encode(needs, object);
    const std::vector<std::byte> bytes = needs.take();
    level as = l;
    as.known = key_of(*known->type);
    as.needs = bytes;
    if (as.text.data() == nullptr)
      as.text =
          what_of(static_cast<const std::exception*>(upcast(object, type, typeid(std::exception))));
    put_level(out, as);
    return true;
  } catch (abi::__forced_unwind&) {
    throw;
  } catch (const std::bad_alloc&) {  // there is a record for that, and no other can be trusted now
    throw;
  } catch (...) {
    out.truncate(before);
    return false;
  }
}

/// Writes one level; returns its cause.
std::exception_ptr put_one(writer& out, const std::exception_ptr& error, const thrown_at& where) {
  level l{};
  if (!error) {  // what std::current_exception says of an exception of another language
    l.text = "procpool: the task threw something that is no C++ exception";
    put_stranger(out, l);
    return nullptr;
  }
  const thrown it(error);
  const auto* before = it.as<remote_info>();
  const std::string name = before != nullptr ? before->type : readable(it.as_written());
  l.type = name;
  if (before != nullptr) {
    l.text = before->what;
    l.places = before->stack.places();
  } else if (error == where.error) {
    l.places.assign(where.places.begin(), where.places.end());
  }
  const std::vector<const std::type_info*> classes = it.classes();
  if (std::none_of(classes.begin(), classes.end(),
                   [&](const std::type_info* type) { return put_as(out, it, *type, l); })) {
    std::string value;
    if (const auto* e = it.as<std::exception>())
      value = what_of(e);
    else
      value = value_of(it);
    if (before == nullptr) l.text = value;
    put_stranger(out, l);
  }
  const auto* nested = it.as<std::nested_exception>();
  return nested != nullptr ? nested->nested_ptr() : nullptr;
}

// ---- on the other side --------------------------------------------------------------------------

[[noreturn]] void nonsense(int pid) {
  throw serialization_error("procpool: what worker " + std::to_string(pid) +
                            " wrote of an exception makes no sense");
}

/// As what it says it is known as: null when that is not known here, or cannot be made.
std::exception_ptr make_known(const level& from, far_side&& side) {
  // Read once, and aligned as it was written.
  const std::vector<std::byte> needs(from.needs.begin(), from.needs.end());
  reader in(needs.data(), needs.size());
  if (const exception_type* known = find_in_table(from.known.name)) {
    if (known->type == &typeid(remote_error) && needs.empty()) return nullptr;
    const int pid = side.info.pid;
    std::exception_ptr made = known->decode(in, std::move(side));
    if (in.left() != 0) nonsense(pid);
    return made;
  }
  const exception_type* registered = find_registered(from.known);
  if (registered == nullptr) return nullptr;
  try {
    std::exception_ptr made = registered->decode(in, std::move(side));
    return in.left() == 0 ? made : nullptr;
  } catch (...) {  // the user's constructor, or bytes that it was not made for
    return nullptr;
  }
}

std::exception_ptr rebuild(const level& from, int pid, std::exception_ptr cause) {
  far_side side;
  side.info.type = from.type;
  side.info.what = from.text;
  side.info.pid = pid;
  side.info.stack = stacktrace(from.places);
  side.cause = std::move(cause);
  if (std::exception_ptr made = make_known(from, far_side(side))) return made;
  std::string text = side.info.type;
  if (!text.empty() && !side.info.what.empty()) text += ": ";
  return detail::make_rethrown(remote_error(text + side.info.what), std::move(side));
}

std::exception_ptr decode(std::span<const std::byte> bytes, int pid) {
  reader in(bytes.data(), bytes.size());
  const auto count = get_number<std::uint32_t>(in);
  if (count == 0 || count > most_levels) nonsense(pid);
  std::vector<level> levels(count);
  for (level& l : levels) {
    l.known.name = get_text(in);
    in.raw(&l.known.place, sizeof l.known.place);
    l.type = get_text(in);
    l.text = get_text(in);
    const auto frames = get_number<std::uint32_t>(in);
    if (frames > most_frames) nonsense(pid);
    l.places.resize(frames);
    in.raw(l.places.data(), frames * sizeof(place));
    l.needs = get_bytes(in);
  }
  if (in.left() != 0) nonsense(pid);
  std::exception_ptr made;
  for (; !levels.empty(); levels.pop_back()) made = rebuild(levels.back(), pid, std::move(made));
  return made;
}

}  // namespace

void encode_error(writer& out, const std::exception_ptr& error, thrown_at where) {
  const std::size_t at = out.size();
  put_number<std::uint32_t>(out, 0);
  std::exception_ptr next = put_one(out, error, where);
  std::uint32_t count = 1;
  for (; next && count <= deepest_cause; ++count) next = put_one(out, next, where);
  if (next) {
    level note{};
    note.text = "procpool: deeper causes were left out";
    put_stranger(out, note);
    ++count;
  }
  std::memcpy(out.data() + at, &count, sizeof count);
}

void encode_bad_alloc(writer& out) {
  put_number<std::uint32_t>(out, 1);
  level l{};
  l.known = key_of(typeid(std::bad_alloc));
  l.type = l.text = "std::bad_alloc";
  put_level(out, l);
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
