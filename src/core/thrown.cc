// SPDX-License-Identifier: MIT
#include "core/thrown.h"

#include <cxxabi.h>

#include <algorithm>
#include <cstring>
#include <string_view>

namespace procpool::core {
namespace {

/// Wrappers, whose first base is the type that was written.
bool is_wrapper(std::string_view name) noexcept {
  return name.starts_with("St17_Nested_exceptionI") ||
         name.starts_with("N8procpool6detail8rethrownI") ||
         name.starts_with("N8procpool6detail19rethrown_with_causeI");
}

}  // namespace

const void* upcast(const void* object, const std::type_info& from,
                   const std::type_info& to) noexcept {
  if (from == to) return object;
  const auto* base = dynamic_cast<const abi::__class_type_info*>(&to);
  void* at = const_cast<void*>(object);
  return base != nullptr && from.__do_upcast(base, &at) ? at : nullptr;
}

thrown::thrown(const std::exception_ptr& error) noexcept : type_(error.__cxa_exception_type()) {
  // libstdc++'s exception_ptr is a pointer to the object, and does not give it away.
  static_assert(sizeof error == sizeof object_);
  std::memcpy(&object_, static_cast<const void*>(&error), sizeof object_);
}

const std::type_info& thrown::as_written() const noexcept {
  const std::type_info* type = type_;
  if (std::string_view(type->name()) == "St13__ios_failure")
    if (const auto* one = dynamic_cast<const abi::__si_class_type_info*>(type))
      return *one->__base_type;
  while (is_wrapper(type->name())) {
    const auto* wrapper = dynamic_cast<const abi::__vmi_class_type_info*>(type);
    if (wrapper == nullptr) break;
    type = wrapper->__base_info[0].__base_type;
  }
  return *type;
}

std::vector<const std::type_info*> thrown::classes() const {
  std::vector<const std::type_info*> found;
  const auto add = [&found](const std::type_info* type) {
    if (std::none_of(found.begin(), found.end(), [&](const auto* f) { return *f == *type; }))
      found.push_back(type);
  };
  if (dynamic_cast<const abi::__class_type_info*>(type_) != nullptr) add(type_);
  for (std::size_t i = 0; i < found.size(); ++i) {  // NOLINT(modernize-loop-convert): it grows
    if (const auto* one = dynamic_cast<const abi::__si_class_type_info*>(found[i])) {
      add(one->__base_type);
    } else if (const auto* more = dynamic_cast<const abi::__vmi_class_type_info*>(found[i])) {
      for (unsigned k = 0; k < more->__base_count; ++k)
        if (more->__base_info[k].__is_public_p()) add(more->__base_info[k].__base_type);
    }
  }
  return found;
}

}  // namespace procpool::core
