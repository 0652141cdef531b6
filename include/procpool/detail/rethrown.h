// SPDX-License-Identifier: MIT
// What get() throws for an exception that a task threw: an E that says what the far one said, and
// that also is a remote_info and, when the far one had a cause, a std::nested_exception.
#pragma once

#include <concepts>
#include <exception>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>

#include "procpool/error.h"

namespace procpool::detail {

/// What came of one exception besides what its type needs.
struct far_side {
  remote_info info;
  std::exception_ptr cause;  ///< what was nested in it, rebuilt; or null
};

/// `text`; for std::terminate, which prints it as the process's last words, told: the type, the
/// text, the frames of the throw. `told` is where that is kept.
const char* what_of(const remote_info& info, const char* text, std::string& told) noexcept;

/// Makes it one that was constructed in no handler.
void forget_cause(std::nested_exception& e) noexcept;

template <class E>
class rethrown : public E, public remote_info {
 public:
  rethrown(E&& as, far_side&& from) : E(std::move(as)), remote_info(std::move(from.info)) {}
};
template <std::derived_from<std::exception> E>
class rethrown<E> : public E, public remote_info {
 public:
  rethrown(E&& as, far_side&& from) : E(std::move(as)), remote_info(std::move(from.info)) {}

  /// To the letter what the far side said, whatever E's constructor makes of it. A remote_error's
  /// text is its own: it names the type too.
  [[nodiscard]] const char* what() const noexcept override {
    if constexpr (std::same_as<E, remote_error>)
      return what_of(*this, E::what(), told_);
    else
      return what_of(*this, remote_info::what.c_str(), told_);
  }

 private:
  mutable std::string told_;
};

/// Constructed in a handler: std::nested_exception can take its cause from nowhere else.
template <class E>
class rethrown_with_cause : public rethrown<E>, public std::nested_exception {
 public:
  using rethrown<E>::rethrown;
};

/// A virtual base is made by the class that ends the line, and these two cannot be made from
/// nothing.
template <class E, class Base>
inline constexpr bool virtual_base = std::is_base_of_v<Base, E> && !requires(Base * base) {
  static_cast<E*>(base);
};
template <class E>
inline constexpr bool derivable = !std::is_final_v<E> && !virtual_base<E, std::runtime_error> &&
                                  !virtual_base<E, std::logic_error>;

template <class E>
std::exception_ptr hold(E e) {
  if constexpr (std::is_copy_constructible_v<E>) {
    return std::make_exception_ptr(std::move(e));
  } else {
    try {
      throw std::move(e);
    } catch (...) {
      return std::current_exception();
    }
  }
}

/// What make() returns, an E, made a rethrown one. A final class cannot be: it comes back plain.
/// make() is called in a handler of the cause: an E that is a std::nested_exception takes it up.
template <class E, class Make>
std::exception_ptr make_rethrown_by(Make make, far_side&& from) {
  constexpr bool nests = std::is_base_of_v<std::nested_exception, E>;
  if (!from.cause) {
    E as = make();
    if constexpr (std::derived_from<E, std::nested_exception>) forget_cause(as);
    if constexpr (derivable<E>)
      return hold(rethrown<E>(std::move(as), std::move(from)));
    else
      return hold(std::move(as));
  }
  const std::exception_ptr cause = std::move(from.cause);
  try {
    std::rethrow_exception(cause);
  } catch (...) {
    E as = make();
    if constexpr (!derivable<E>)
      return hold(std::move(as));
    else if constexpr (nests)
      return hold(rethrown<E>(std::move(as), std::move(from)));
    else
      return hold(rethrown_with_cause<E>(std::move(as), std::move(from)));
  }
}

template <class E>
std::exception_ptr make_rethrown(E as, far_side&& from) {
  return make_rethrown_by<E>([&as] { return std::move(as); }, std::move(from));
}

}  // namespace procpool::detail
