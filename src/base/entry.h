// SPDX-License-Identifier: MIT
// Names code or constant data so that another process of the same program finds it: by the module
// that holds it and the place in there, never by an address, which another process may not share.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "procpool/detail/batch.h"
#include "procpool/stacktrace.h"

namespace procpool::base {

/// An address, as any process says it that has the same module loaded.
struct token {
  std::uint64_t module;  ///< hash of the module's build-id, else of its read-only segments; never 0
  std::uint64_t offset;  ///< from where the module is loaded
  friend bool operator==(const token&, const token&) = default;
};
static_assert(sizeof(token) == 16 && std::is_trivially_copyable_v<token>);

/// Throws procpool::error when the address lies in no loaded module. From any thread.
token name(const void* address);
/// Each place, given as {0, address}, becomes what name() says of it; an address that lies in no
/// loaded module stays. Throws std::bad_alloc. From any thread.
void name_all(std::span<detail::place> places);

struct module_name {
  std::uint64_t id;
  std::string path;   ///< as the loader knows it; empty: the program itself
  std::string build;  ///< its build-id in hexadecimal, or words that say it has none
};
/// The modules loaded now.
std::vector<module_name> modules();
[[nodiscard]] bool is_loaded(std::uint64_t id);
/// Is another number when name() or find() has noticed that modules came or went. Costs a load.
std::uint64_t modules_seen() noexcept;

/// As name(), in a signal handler: takes no lock and asks nobody, so it knows the modules as they
/// were when somebody last called another function of these; {0, address} in none of them.
token name_in_handler(std::uintptr_t address) noexcept;

/// The file of the module with that id, as the loader knows it: empty for the program itself,
/// without a slash for what has no file (the vdso); nothing when no such module is loaded here.
/// From any thread.
std::optional<std::string> path_of(std::uint64_t id);

/// Null when the module is not loaded here, or has nothing at the offset. From any thread.
const void* find(token t) noexcept;
/// find(), and it is code; else null.
const void* find_code(token t) noexcept;

/// find(), and what is there is an entry point of that type; else null.
const detail::entry_point* find_entry(token t, std::uint64_t type) noexcept;

}  // namespace procpool::base
