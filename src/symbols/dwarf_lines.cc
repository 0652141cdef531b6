// SPDX-License-Identifier: MIT
#include "symbols/dwarf_lines.h"

#include <dlfcn.h>

#include <cstddef>
#include <type_traits>
#include <utility>

#include "base/loader.h"

namespace procpool::symbols {
namespace {

constexpr int to_read = 0;        // DWARF_C_READ
constexpr int no_descriptor = 7;  // ELF_C_FDREAD: reads what is not in memory, forgets the number

}  // namespace

// <elfutils/libdw.h>, whose types these are, is not needed to build.
struct libdw {
  struct die {
    void* address;
    void* unit;
    void* abbreviation;
    long padding;
  };

  void* (*begin)(int descriptor, int command) = nullptr;
  int (*end)(void* dwarf) = nullptr;
  void* (*elf)(void* dwarf) = nullptr;
  int (*control)(void* elf, int command) = nullptr;
  int (*next_unit)(void* dwarf, std::uint64_t at, std::uint64_t* next, std::size_t* header_size,
                   std::uint64_t* abbreviations, std::uint8_t* address_size,
                   std::uint8_t* offset_size) = nullptr;
  die* (*die_at)(void* dwarf, std::uint64_t at, die* to) = nullptr;
  int (*has_pc)(die* unit, std::uint64_t pc) = nullptr;
  void* (*line_of)(die* unit, std::uint64_t pc) = nullptr;
  int (*line_number)(void* line, int* to) = nullptr;
  const char* (*line_source)(void* line, std::uint64_t*, std::uint64_t*) = nullptr;
};

std::shared_ptr<const libdw> load_libdw(const char* name) {
  void* library =
      procpool_dlopen != nullptr ? procpool_dlopen(name, RTLD_NOW | RTLD_LOCAL) : nullptr;
  if (library == nullptr) return nullptr;
  auto functions = std::make_shared<libdw>();
  bool whole = true;
  const auto find = [&](auto& function, const char* symbol) {
    void* found = procpool_dlsym(library, symbol);
    function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(found);
    whole = whole && found != nullptr;
  };
  find(functions->begin, "dwarf_begin");
  find(functions->end, "dwarf_end");
  find(functions->elf, "dwarf_getelf");
  find(functions->control, "elf_cntl");
  find(functions->next_unit, "dwarf_nextcu");
  find(functions->die_at, "dwarf_offdie");
  find(functions->has_pc, "dwarf_haspc");
  find(functions->line_of, "dwarf_getsrc_die");
  find(functions->line_number, "dwarf_lineno");
  find(functions->line_source, "dwarf_linesrc");
  return whole ? functions : nullptr;
}

dwarf_lines::dwarf_lines(std::shared_ptr<const libdw> library, int descriptor)
    : library_(std::move(library)) {
  if (library_ == nullptr) return;
  dwarf_ = library_->begin(descriptor, to_read);
  if (dwarf_ == nullptr) return;
  if (library_->control(library_->elf(dwarf_), no_descriptor) == 0) return;
  library_->end(dwarf_);
  dwarf_ = nullptr;
}

dwarf_lines::~dwarf_lines() {
  if (dwarf_ != nullptr) library_->end(dwarf_);
}

// Each unit is asked: clang writes no .debug_aranges that would tell which one it is.
source_line dwarf_lines::at(std::uint64_t offset) const {
  source_line found;
  if (dwarf_ == nullptr) return found;
  std::uint64_t unit = 0;
  std::uint64_t next = 0;
  std::size_t header = 0;
  while (library_->next_unit(dwarf_, unit, &next, &header, nullptr, nullptr, nullptr) == 0) {
    libdw::die top{};
    if (library_->die_at(dwarf_, unit + header, &top) != nullptr &&
        library_->has_pc(&top, offset) > 0) {
      void* line = library_->line_of(&top, offset);
      const char* file = line != nullptr ? library_->line_source(line, nullptr, nullptr) : nullptr;
      if (file != nullptr && library_->line_number(line, &found.line) == 0) found.file = file;
      break;
    }
    unit = next;
  }
  return found;
}

}  // namespace procpool::symbols
