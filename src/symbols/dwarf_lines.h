// SPDX-License-Identifier: MIT
// Source lines from debug information, by elfutils' libdw when the system has it: it is loaded when
// somebody first asks, and is no dependency of the library. libdw reads the file that it is given
// and nothing else; no debug information is fetched from anywhere.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

namespace procpool::symbols {

struct source_line {
  std::string file;  ///< empty: not known
  int line = 0;
};

/// The library's functions; loaded once, never unloaded.
struct libdw;
/// Null: it is not there, or this program is a static one, which can load no library.
std::shared_ptr<const libdw> load_libdw(const char* name);

/// Of one module. Not for two threads at a time.
class dwarf_lines {
 public:
  /// `descriptor`: of the module's file; stays the caller's, who may close it afterwards.
  dwarf_lines(std::shared_ptr<const libdw> library, int descriptor);
  dwarf_lines(const dwarf_lines&) = delete;
  dwarf_lines& operator=(const dwarf_lines&) = delete;
  ~dwarf_lines();

  [[nodiscard]] source_line at(std::uint64_t offset) const;

 private:
  std::shared_ptr<const libdw> library_;
  void* dwarf_ = nullptr;  // null: the file has no debug information
};

}  // namespace procpool::symbols
