// SPDX-License-Identifier: MIT
// What get() throws for an exception that a task threw: an E that says what the far one said, and
// that also is a remote_info and, when the far one had a cause, a std::nested_exception.
#pragma once

#include <concepts>
#include <exception>
#include <string>
#include <type_traits>
#include <utility>

#include "procpool/error.h"

namespace procpool::core {

/// What came of one exception besides what its type needs.
struct far_side {
  remote_info info;
  std::string text;          ///< its what()
  std::exception_ptr cause;  ///< what was nested in it, rebuilt; or null
};

template <class E>
class rethrown : public E, public remote_info {
 public:
  rethrown(E&& as, far_side&& from)
      : E(std::move(as)), remote_info(std::move(from.info)), text_(std::move(from.text)) {}

  /// To the letter what the far side said, whatever E's constructor makes of it.
  [[nodiscard]] const char* what() const noexcept override { return text_.c_str(); }

 private:
  std::string text_;
};

/// Constructed in a handler: std::nested_exception can take its cause from nowhere else.
template <class E>
class rethrown_with_cause : public rethrown<E>, public std::nested_exception {
 public:
  using rethrown<E>::rethrown;
};

/// `as`, made a rethrown one. A final class cannot be: it comes back plain.
template <class E>
std::exception_ptr make_rethrown(E as, far_side&& from) {
  if constexpr (std::is_final_v<E> || !std::derived_from<E, std::exception>) {
    return std::make_exception_ptr(std::move(as));
  } else if (!from.cause) {
    return std::make_exception_ptr(rethrown<E>(std::move(as), std::move(from)));
  } else {
    const std::exception_ptr cause = std::move(from.cause);
    try {
      std::rethrow_exception(cause);
    } catch (...) {
      return std::make_exception_ptr(rethrown_with_cause<E>(std::move(as), std::move(from)));
    }
  }
}

}  // namespace procpool::core
