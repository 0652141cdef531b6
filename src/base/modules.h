// SPDX-License-Identifier: MIT
// Modules that another process of this program has and this one may not: a plug-in loaded after the
// worker was made, a library that a fresh execution has not asked for yet, one that was replaced on
// disk in between.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/entry.h"

namespace procpool::base {

/// When this process has a module of the same path that is another build: words that name both
/// build-ids.
std::optional<std::string> other_build(const module_name& theirs);

/// Who knows the modules of the other process. Set once, in a worker, before its first task.
using module_source = std::optional<module_name> (*)(std::uint64_t id);
void set_module_source(module_source source) noexcept;

/// Loads the module that a token names, unless it is loaded here; it stays for ever. Runs the
/// library's static constructors. Throws serialization_error: nobody knows it, it cannot be loaded,
/// its file is another build now, this program is static.
void load_module(std::uint64_t id);

}  // namespace procpool::base
