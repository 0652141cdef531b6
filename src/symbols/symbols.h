// SPDX-License-Identifier: MIT
// Places in modules, made readable: by the files of the modules that this process has loaded.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "procpool/stacktrace.h"
#include "symbols/dwarf_lines.h"
#include "symbols/elf_file.h"

namespace procpool::symbols {

/// What was read of each module that was asked about stays until the process ends: 32 bytes and the
/// name for each function, and what libdw keeps (the file, mapped, and its lines).
class cache {
 public:
  explicit cache(const char* libdw = "libdw.so.1");
  /// The one that stacktrace asks. A forked copy of a process has one of its own: the one it
  /// inherited may be locked for ever.
  static cache& of_this_process();

  /// From any thread.
  stack_frame describe(const detail::place& p);

 private:
  struct module {
    std::string path;                    // as users know it
    std::unique_ptr<elf_file> file;      // null: its file is not there, or another one by now
    std::unique_ptr<dwarf_lines> lines;  // null when file is
  };
  /// Null: this process has no such module.
  module* find(std::uint64_t id);

  const pid_t owner_;
  const char* libdw_name_;
  std::mutex mutex_;
  bool libdw_tried_ = false;
  std::shared_ptr<const libdw> libdw_;
  std::map<std::uint64_t, module> modules_;
};

}  // namespace procpool::symbols
