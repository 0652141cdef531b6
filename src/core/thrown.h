// SPDX-License-Identifier: MIT
// An exception as what the C++ ABI knows of it: its type, its object, and each class that the
// object is, found as a handler finds it. Nothing is thrown again to ask.
#pragma once

#include <exception>
#include <typeinfo>
#include <vector>

namespace procpool::core {

/// `object`, a `from`, as the `to` that it is or has as a public, unambiguous base; null: neither.
const void* upcast(const void* object, const std::type_info& from,
                   const std::type_info& to) noexcept;

class thrown {
 public:
  /// Not null; must outlive this.
  explicit thrown(const std::exception_ptr& error) noexcept;

  [[nodiscard]] const std::type_info& type() const noexcept { return *type_; }
  [[nodiscard]] const void* object() const noexcept { return object_; }
  /// The type that the thrower wrote: std::throw_with_nested, the iostreams and get() throw types
  /// made for the purpose in its place.
  [[nodiscard]] const std::type_info& as_written() const noexcept;

  template <class T>
  [[nodiscard]] const T* as() const noexcept {
    return static_cast<const T*>(upcast(object_, *type_, typeid(T)));
  }
  /// The class and its public bases, nearest first, each once: those that it is once, and those
  /// that it is more than once, too.
  [[nodiscard]] std::vector<const std::type_info*> classes() const;

 private:
  const std::type_info* type_;
  const void* object_;
};

}  // namespace procpool::core
