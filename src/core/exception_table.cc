// SPDX-License-Identifier: MIT
// How each known exception type is taken apart and made again: a line for each in the table at the
// end.
#include "core/exception_table.h"

#include <sys/wait.h>

#include <any>
#include <array>
#include <chrono>
#include <filesystem>
#include <functional>
#include <future>
#include <ios>
#include <memory>
#include <new>
#include <optional>
#include <regex>
#include <stdexcept>
#include <string>
#include <system_error>
#include <typeinfo>
#include <utility>
#include <variant>

#include "core/plain_bytes.h"

namespace procpool::core {
namespace {

using detail::far_side;
using detail::make_rethrown;
using detail::reader;
using detail::writer;

// ---- types that are their text, or nothing ------------------------------------------------------

template <class E>
void encode_nothing(writer& /*out*/, const std::exception& /*e*/) {}

template <class E>
std::exception_ptr from_nothing(reader& /*in*/, far_side&& from) {
  return make_rethrown(E(), std::move(from));
}

template <class E>
std::exception_ptr from_text(reader& /*in*/, far_side&& from) {
  return make_rethrown(E(from.info.what), std::move(from));
}

// ---- std::system_error and its like -------------------------------------------------------------

/// A category lives in each process; its name finds it in the other. One that is unknown becomes
/// the generic one: what() keeps the true words.
const std::error_category& category(std::string_view name) noexcept {
  for (const std::error_category* known :
       {&std::system_category(), &std::iostream_category(), &std::future_category()})
    if (name == known->name()) return *known;
  return std::generic_category();
}

/// What the constructors of these types take and what they made of it.
struct coded {
  std::error_code code;
  std::string text;  ///< "prefix: message of the code", or that message alone
};

void put_coded(writer& out, const std::system_error& e) {
  put_text(out, e.code().category().name());
  put_number(out, e.code().value());
  // Not the overridden what(): this text is for who catches the base by value.
  put_text(out, e.std::runtime_error::what());
}

coded get_coded(reader& in) {
  const std::error_category& where = category(get_text(in));
  const int value = get_number<int>(in);
  return {{value, where}, std::string(get_text(in))};
}

/// The text without the code's message, which the constructor will append again.
std::string prefix(coded&& from) {
  const std::string tail = ": " + from.code.message();
  if (from.text.ends_with(tail)) from.text.resize(from.text.size() - tail.size());
  return std::move(from.text);
}

template <class E>
void encode_coded(writer& out, const std::exception& e) {
  put_coded(out, static_cast<const E&>(e));
}

std::exception_ptr to_system_error(reader& in, far_side&& from) {
  coded c = get_coded(in);
  const std::error_code code = c.code;
  if (c.text == code.message()) return make_rethrown(std::system_error(code), std::move(from));
  return make_rethrown(std::system_error(code, prefix(std::move(c))), std::move(from));
}

std::exception_ptr to_ios_failure(reader& in, far_side&& from) {
  coded c = get_coded(in);
  const std::error_code code = c.code;
  return make_rethrown(std::ios_base::failure(prefix(std::move(c)), code), std::move(from));
}

void encode_filesystem_error(writer& out, const std::exception& e) {
  const auto& error = static_cast<const std::filesystem::filesystem_error&>(e);
  put_coded(out, error);
  put_text(out, error.path1().native());
  put_text(out, error.path2().native());
}

std::exception_ptr to_filesystem_error(reader& in, far_side&& from) {
  coded c = get_coded(in);
  const std::error_code code = c.code;
  const std::filesystem::path path1(get_text(in));
  const std::filesystem::path path2(get_text(in));
  return make_rethrown(std::filesystem::filesystem_error(prefix(std::move(c)), path1, path2, code),
                       std::move(from));
}

// ---- types that are a number --------------------------------------------------------------------

void encode_future_error(writer& out, const std::exception& e) {
  put_number(out, static_cast<const std::future_error&>(e).code().value());
}

std::exception_ptr to_future_error(reader& in, far_side&& from) {
  const auto code = static_cast<std::future_errc>(get_number<int>(in));
  return make_rethrown(std::future_error(code), std::move(from));
}

void encode_regex_error(writer& out, const std::exception& e) {
  put_number(out, static_cast<int>(static_cast<const std::regex_error&>(e).code()));
}

std::exception_ptr to_regex_error(reader& in, far_side&& from) {
  const int code = get_number<int>(in);
  // The enumeration has no fixed underlying type: a value past its widest enumerator's bits would
  // be undefined. libstdc++ itself uses two values behind the standard's.
  if (code < 0 || code > 15) throw serialization_error("procpool: no code of std::regex_error");
  return make_rethrown(std::regex_error(static_cast<std::regex_constants::error_type>(code)),
                       std::move(from));
}

// ---- types that are more than their base --------------------------------------------------------

std::exception_ptr to_nested_exception(reader& /*in*/, far_side&& from) {
  return detail::make_rethrown_by<std::nested_exception>([] { return std::nested_exception(); },
                                                         std::move(from));
}

/// One that names another type has what that said in its remote_info: its own text goes beside it.
void encode_remote_error(writer& out, const std::exception& e) { put_text(out, e.what()); }

std::exception_ptr to_remote_error(reader& in, far_side&& from) {
  std::string text(get_text(in));
  return make_rethrown(remote_error(text), std::move(from));
}

// ---- procpool's own: a pool inside a worker throws them there -----------------------------------

void put_details(writer& out, const worker_died::details& known, worker_died::cause_type cause) {
  put_number(out, static_cast<std::uint32_t>(cause));
  put_number<std::uint8_t>(out, known.fault_address ? 1 : 0);
  put_number<std::uint64_t>(out, known.fault_address.value_or(0));
  put_places(out, known.stack.places());
  put_text(out, known.exception.type);
  put_text(out, known.exception.text);
  put_number<std::int64_t>(out, known.usage.user_time.count());
  put_number<std::int64_t>(out, known.usage.system_time.count());
  put_number<std::uint64_t>(out, known.usage.max_rss);
  put_text(out, known.stderr_tail);
}

std::shared_ptr<const worker_died::details> get_details(reader& in) {
  using cause_type = worker_died::cause_type;
  auto known = std::make_shared<worker_died::details>();
  const auto cause = get_number<std::uint32_t>(in);
  if (cause > static_cast<std::uint32_t>(cause_type::out_of_memory))
    throw serialization_error("procpool: no cause of worker_died");
  known->cause = static_cast<cause_type>(cause);
  const bool has_address = get_number<std::uint8_t>(in) != 0;
  const auto address = get_number<std::uint64_t>(in);
  if (has_address) known->fault_address = static_cast<std::uintptr_t>(address);
  known->stack = stacktrace(get_places(in));
  known->exception.type = get_text(in);
  known->exception.text = get_text(in);
  known->usage.user_time = std::chrono::microseconds(get_number<std::int64_t>(in));
  known->usage.system_time = std::chrono::microseconds(get_number<std::int64_t>(in));
  known->usage.max_rss = static_cast<std::size_t>(get_number<std::uint64_t>(in));
  known->stderr_tail = get_text(in);
  return known;
}

void encode_worker_died(writer& out, const std::exception& e) {
  const auto& error = static_cast<const worker_died&>(e);
  put_number(out, error.pid());
  put_number(
      out, error.signal() != 0 ? W_EXITCODE(0, error.signal()) : W_EXITCODE(error.exit_code(), 0));
  put_number<std::uint64_t>(out, error.index());
  put_details(out, *error.known(), error.cause());
}

std::exception_ptr to_worker_died(reader& in, far_side&& from) {
  const auto pid = get_number<pid_t>(in);
  const auto status = get_number<int>(in);
  const auto index = get_number<std::uint64_t>(in);
  return make_rethrown(worker_died(pid, status, index, get_details(in)), std::move(from));
}

void encode_task_timeout(writer& out, const std::exception& e) {
  const auto& error = static_cast<const task_timeout&>(e);
  put_number(out, static_cast<std::uint32_t>(error.kind()));
  put_number<std::int64_t>(out, error.limit().count());
  put_number<std::uint64_t>(out, error.index());
  put_number(out, error.pid());
}

std::exception_ptr to_task_timeout(reader& in, far_side&& from) {
  const auto kind = get_number<std::uint32_t>(in);
  if (kind > static_cast<std::uint32_t>(task_timeout::kind_type::deadline))
    throw serialization_error("procpool: no kind of task_timeout");
  const auto limit = std::chrono::nanoseconds(get_number<std::int64_t>(in));
  const auto index = static_cast<std::size_t>(get_number<std::uint64_t>(in));
  const auto pid = get_number<pid_t>(in);
  return make_rethrown(task_timeout(static_cast<task_timeout::kind_type>(kind), limit, index, pid),
                       std::move(from));
}

// ---- the table ----------------------------------------------------------------------------------

template <class E, void (*Encode)(writer&, const std::exception&),
          std::exception_ptr (*Decode)(reader&, far_side&&)>
constexpr exception_type entry() {
  return {&typeid(E), [](writer& out, const void* e) { Encode(out, *static_cast<const E*>(e)); },
          Decode};
}
template <class E>
constexpr exception_type plain() {
  return entry<E, encode_nothing<E>, from_nothing<E>>();
}
template <class E>
constexpr exception_type text() {
  return entry<E, encode_nothing<E>, from_text<E>>();
}

// The commonest first: it is searched from the front.
constinit const std::array table{
    text<std::runtime_error>(),
    text<std::invalid_argument>(),
    text<std::out_of_range>(),
    text<std::logic_error>(),
    entry<remote_error, encode_remote_error, to_remote_error>(),
    text<std::domain_error>(),
    text<std::length_error>(),
    text<std::range_error>(),
    text<std::overflow_error>(),
    text<std::underflow_error>(),
    plain<std::exception>(),
    plain<std::bad_alloc>(),
    plain<std::bad_array_new_length>(),
    plain<std::bad_cast>(),
    plain<std::bad_any_cast>(),
    plain<std::bad_typeid>(),
    plain<std::bad_exception>(),
    plain<std::bad_function_call>(),
    plain<std::bad_weak_ptr>(),
    plain<std::bad_optional_access>(),
    plain<std::bad_variant_access>(),
    entry<std::system_error, encode_coded<std::system_error>, to_system_error>(),
    entry<std::ios_base::failure, encode_coded<std::ios_base::failure>, to_ios_failure>(),
    entry<std::filesystem::filesystem_error, encode_filesystem_error, to_filesystem_error>(),
    entry<std::future_error, encode_future_error, to_future_error>(),
    entry<std::regex_error, encode_regex_error, to_regex_error>(),
    exception_type{&typeid(std::nested_exception), [](writer&, const void*) {},
                   to_nested_exception},
    text<serialization_error>(),
    entry<worker_died, encode_worker_died, to_worker_died>(),
    entry<task_timeout, encode_task_timeout, to_task_timeout>(),
    text<error>(),
    text<timeout_error>(),
    text<task_cancelled>(),
    text<pool_terminated>(),
    text<pool_closed>(),
    text<pool_broken>(),
    text<pool_full>(),
    text<initializer_failed>(),
    plain<wrong_process>(),
};

}  // namespace

const exception_type* find_in_table(const std::type_info& type) noexcept {
  for (const exception_type& known : table)
    if (*known.type == type) return &known;
  return nullptr;
}

const exception_type* find_in_table(std::string_view name) noexcept {
  for (const exception_type& known : table)
    if (name == known.type->name()) return &known;
  return nullptr;
}

}  // namespace procpool::core
