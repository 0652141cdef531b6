// SPDX-License-Identifier: MIT
#include "base/modules.h"

#include <dlfcn.h>

#include <string>

#include "base/loader.h"
#include "procpool/error.h"

namespace procpool::base {
namespace {

module_source known_elsewhere = nullptr;

[[noreturn]] void refuse(const std::string& path, const std::string& why) {
  throw serialization_error("procpool: this worker cannot load " + path +
                            ", where the function lives: " + why);
}

}  // namespace

std::optional<std::string> other_build(const module_name& theirs) {
  for (const module_name& ours : modules()) {
    if (ours.path == theirs.path && ours.id != theirs.id)
      return "procpool: the worker runs other code than its parent: " +
             (ours.path.empty() ? "the program" : ours.path) + " has build-id " + ours.build +
             ", the parent's has " + theirs.build;
  }
  return std::nullopt;
}

void set_module_source(module_source source) noexcept { known_elsewhere = source; }

void load_module(std::uint64_t id) {
  if (is_loaded(id)) return;
  const std::optional<module_name> wanted =
      known_elsewhere != nullptr ? known_elsewhere(id) : std::nullopt;
  if (!wanted)
    throw serialization_error(
        "procpool: the function lives in a module that this process has not loaded");
  if (!wanted->path.empty()) {
    if (procpool_dlopen == nullptr) refuse(wanted->path, "this program is static");
    // Never closed: tokens of it may come at any time.
    if (procpool_dlopen(wanted->path.c_str(), RTLD_NOW | RTLD_LOCAL) == nullptr)
      refuse(wanted->path, procpool_dlerror());
  }
  if (auto why = other_build(*wanted)) throw serialization_error(*why);
  if (!is_loaded(id)) refuse(wanted->path, "its file holds something else now");
}

}  // namespace procpool::base
