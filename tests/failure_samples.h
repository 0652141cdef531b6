// SPDX-License-Identifier: MIT
// For tests of exceptions on their way: one of each type that comes back as itself, the way there
// and back without a pool, and what to expect of what came.
#pragma once

#include <gtest/gtest.h>

#include <any>
#include <csignal>
#include <exception>
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
#include <vector>

#include "core/failure.h"
#include "procpool/detail/rethrown.h"
#include "procpool/error.h"
#include "vector_writer.h"

namespace procpool::test {

inline constexpr int far_pid = 4321;

inline std::vector<std::byte> encoded(const std::exception_ptr& error) {
  vector_writer out;
  core::encode_error(out, error);
  return out.bytes();
}

inline std::exception_ptr there_and_back(const std::exception_ptr& error, int pid = far_pid) {
  return detail::decode_error(encoded(error), pid);
}

/// What `thrower` throws, as the parent gets it.
template <class F>
std::exception_ptr from_far(F thrower) {
  try {
    thrower();
  } catch (...) {
    return there_and_back(std::current_exception());
  }
  ADD_FAILURE() << "nothing was thrown";
  return std::make_exception_ptr(0);
}

/// Calls check(e) with the exception when it is an E exactly, or rethrown as one.
template <class E, class F>
void expect(const std::exception_ptr& error, F check) {
  ASSERT_TRUE(error);
  try {
    std::rethrow_exception(error);
  } catch (const E& e) {
    const std::type_info& type = *error.__cxa_exception_type();
    if constexpr (!detail::derivable<E>)
      EXPECT_TRUE(type == typeid(E)) << type.name();
    else if constexpr (std::is_base_of_v<std::nested_exception, E>)
      EXPECT_TRUE(type == typeid(detail::rethrown<E>)) << type.name();
    else
      EXPECT_TRUE(type == typeid(detail::rethrown<E>) ||
                  type == typeid(detail::rethrown_with_cause<E>))
          << type.name();
    check(e);
  } catch (...) {
    ADD_FAILURE() << "thrown is a " << error.__cxa_exception_type()->name();
  }
}

template <class E>
void expect_text(const std::exception_ptr& error, const std::string& what) {
  expect<E>(error, [&](const E& e) { EXPECT_EQ(e.what(), what); });
}

/// An exception to send, and what to expect of it: its type by check(), and remote_info::type.
struct known_type {
  const char* name;
  std::exception_ptr thrown;
  void (*check)(const std::exception_ptr&, const std::string& what);
  std::string type;
};

template <class E, class... Args>
known_type known(const char* name, const char* type, Args&&... args) {
  return {name, std::make_exception_ptr(E(std::forward<Args>(args)...)),
          [](const std::exception_ptr& p, const std::string& what) { expect_text<E>(p, what); },
          type};
}

/// All that can be known of a worker's end.
inline std::shared_ptr<const worker_died::details> story() {
  auto known = std::make_shared<worker_died::details>();
  known->cause = worker_died::cause_type::out_of_memory;
  known->fault_address = 0xfedcba9876543210;
  known->stack = stacktrace({{1, 2}, {0, 3}, {~std::uint64_t{0}, ~std::uint64_t{0}}});
  known->exception = {"some::type", std::string("a text\nwith a\0 in it", 20)};
  known->usage = {std::chrono::microseconds(1), std::chrono::microseconds(2), 3};
  known->stderr_tail = "last\nwords\n";
  return known;
}

#define TYPE(E, ...) known<E>(#E, #E __VA_OPT__(, ) __VA_ARGS__)

/// One of each type in the core's table.
inline std::vector<known_type> known_types() {
  const std::error_code code(EACCES, std::generic_category());
  return {
      TYPE(std::exception),
      TYPE(std::runtime_error, "words"),
      TYPE(std::logic_error, "words"),
      TYPE(std::invalid_argument, "words"),
      TYPE(std::domain_error, "words"),
      TYPE(std::length_error, "words"),
      TYPE(std::out_of_range, "words"),
      TYPE(std::range_error, "words"),
      TYPE(std::overflow_error, "words"),
      TYPE(std::underflow_error, "words"),
      TYPE(std::bad_alloc),
      TYPE(std::bad_array_new_length),
      TYPE(std::bad_cast),
      TYPE(std::bad_any_cast),
      TYPE(std::bad_typeid),
      TYPE(std::bad_exception),
      TYPE(std::bad_function_call),
      TYPE(std::bad_weak_ptr),
      TYPE(std::bad_optional_access),
      TYPE(std::bad_variant_access),
      TYPE(std::system_error, code, "words"),
      known<std::ios_base::failure>("failure", "std::ios_base::failure[abi:cxx11]", "words", code),
      known<std::filesystem::filesystem_error>("filesystem_error",
                                               "std::filesystem::__cxx11::filesystem_error",
                                               "words", "/a", "/b", code),
      TYPE(std::future_error, std::future_errc::broken_promise),
      TYPE(std::regex_error, std::regex_constants::error_brack),
      TYPE(procpool::error, "words"),
      TYPE(procpool::timeout_error),
      TYPE(procpool::task_cancelled),
      TYPE(procpool::pool_terminated),
      TYPE(procpool::pool_closed),
      TYPE(procpool::pool_broken, "words"),
      TYPE(procpool::pool_full),
      TYPE(procpool::initializer_failed, "words"),
      TYPE(procpool::serialization_error, "words"),
      TYPE(procpool::remote_error, "some_type: words"),
      TYPE(procpool::wrong_process),
      TYPE(procpool::worker_died, 77, SIGSEGV, 3, story()),
  };
}

#undef TYPE

inline std::string what_of(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const std::exception& e) {
    return e.what();
  }
}

/// Its remote_info; a failure of the test when there is none.
inline remote_info info_of(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const remote_info& info) {
    return info;
  } catch (...) {
    ADD_FAILURE() << "no remote_info: " << error.__cxa_exception_type()->name();
    return {};
  }
}

/// Throws "level <depth>", with the levels below nested in it down to a std::system_error.
inline void throw_chain(int depth) {
  try {
    if (depth == 0) throw std::system_error(ENOSPC, std::generic_category(), "bottom");
    throw_chain(depth - 1);
  } catch (...) {
    if (depth == 0) throw;
    std::throw_with_nested(std::runtime_error("level " + std::to_string(depth)));
  }
}

/// What is nested in it; null: nothing.
inline std::exception_ptr cause_of(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const std::nested_exception& e) {
    return e.nested_ptr();
  } catch (...) {
    return nullptr;
  }
}

}  // namespace procpool::test
