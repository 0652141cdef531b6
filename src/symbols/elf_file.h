// SPDX-License-Identifier: MIT
// The function names in a program's or library's file. All is read when it is made; every number in
// the file is held against its size, as anybody may have written it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace procpool::symbols {

class elf_file {
 public:
  /// Null: no regular file, or no ELF file of 64 bits in this machine's byte order. The descriptor
  /// stays the caller's.
  static std::unique_ptr<elf_file> read(int descriptor);

  /// What base::token says of a module that was loaded from this file.
  [[nodiscard]] std::uint64_t id() const noexcept { return id_; }
  /// The function that has its code at this offset in the module, as the linker knows it (mangled);
  /// empty: none is known, as in a stripped file.
  [[nodiscard]] std::string function_at(std::uint64_t offset) const;

 private:
  struct function {
    std::uint64_t begin;
    std::uint64_t size;
    std::uint32_t name;  // in names_
    bool sized;          // it says so itself
    bool global;
  };

  class bytes;
  elf_file() = default;
  [[nodiscard]] bool read(const bytes& file);
  void read_functions(const bytes& file, std::uint64_t sections_at, std::uint32_t sections);

  std::uint64_t id_ = 0;
  std::vector<function> functions_;  // by begin; of several in one place the best name is last
  std::vector<char> names_;          // each ends with NUL, the last one too
};

}  // namespace procpool::symbols
