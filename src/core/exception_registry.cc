// SPDX-License-Identifier: MIT
#include "core/exception_registry.h"

#include <atomic>
#include <string>

namespace procpool::detail {

struct registered_exception {
  std::string name;  // a copy: the type's own goes with its library
  exception_type how;
  std::atomic<bool> gone{false};
  registered_exception* next = nullptr;
};

namespace {

constinit std::atomic<registered_exception*> newest{nullptr};

}  // namespace

exception_registration::exception_registration(const exception_type& how)
    : entry_(new registered_exception{how.type->name(), how}) {
  entry_->next = newest.load(std::memory_order_relaxed);
  while (!newest.compare_exchange_weak(entry_->next, entry_, std::memory_order_release,
                                       std::memory_order_relaxed)) {
  }
}

exception_registration::~exception_registration() {
  entry_->gone.store(true, std::memory_order_release);
}

}  // namespace procpool::detail

namespace procpool::core {
namespace {

using detail::registered_exception;

bool is_in_unnamed_namespace(std::string_view name) {
  return name.find("_GLOBAL__N_") != std::string_view::npos;
}

template <class IsIt>
const detail::exception_type* find(std::string_view name, IsIt is_it) noexcept {
  for (const registered_exception* r = detail::newest.load(std::memory_order_acquire); r != nullptr;
       r = r->next)
    if (r->name == name && !r->gone.load(std::memory_order_acquire) && is_it(r->how))
      return &r->how;
  return nullptr;
}

}  // namespace

type_key key_of(const std::type_info& type) {
  type_key key{type.name(), {}};
  if (is_in_unnamed_namespace(key.name)) key.place = base::name(&type);
  return key;
}

const detail::exception_type* find_registered(const std::type_info& type) noexcept {
  const std::string_view name = type.name();
  const bool unnamed = is_in_unnamed_namespace(name);
  return find(name,
              [&](const detail::exception_type& how) { return !unnamed || how.type == &type; });
}

const detail::exception_type* find_registered(const type_key& key) noexcept {
  if (!is_in_unnamed_namespace(key.name))
    return find(key.name, [](const detail::exception_type&) { return true; });
  const void* type = base::find(key.place);
  return find(key.name, [type](const detail::exception_type& how) { return how.type == type; });
}

}  // namespace procpool::core
