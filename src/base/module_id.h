// SPDX-License-Identifier: MIT
// What tells one build of a module from another, read from its memory (entry.cc) or from its file
// (symbols/elf_file.cc): the same for both.
#pragma once

#include <elf.h>
#include <link.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "base/hash.h"

namespace procpool::base {

struct module_id {
  std::uint64_t number = 0;  ///< hash of the build-id, else of the read-only segments; never 0
  std::string build;         ///< the build-id in hexadecimal, or words that say it has none
};

/// The build-id in a segment of notes; empty: none. elf(5), "Notes (Nhdr)".
std::span<const std::byte> build_id(std::span<const std::byte> notes,
                                    std::uint64_t alignment) noexcept;
std::string hexadecimal(std::span<const std::byte> bytes);

/// `content(segment)`: its bytes, as a span or an owner of them.
template <class Content>
module_id identify(std::span<const ElfW(Phdr)> segments, Content content) {
  module_id id;
  std::uint64_t shape = hash_start;
  for (const ElfW(Phdr) & p : segments) {
    if (p.p_type == PT_NOTE && id.number == 0) {
      const auto notes = content(p);
      if (const auto build = build_id(notes, p.p_align); !build.empty())
        id = {hash(build.data(), build.size(), hash_start), hexadecimal(build)};
    }
    if (p.p_type != PT_LOAD) continue;
    const std::uint64_t bounds[] = {p.p_vaddr, p.p_memsz, p.p_flags};
    shape = hash(reinterpret_cast<const std::byte*>(bounds), sizeof bounds, shape);
  }
  if (id.number == 0) {
    // What relocation writes differs from process to process; what nobody can write does not.
    std::uint64_t text = hash_start;
    for (const ElfW(Phdr) & p : segments) {
      if (p.p_type != PT_LOAD || (p.p_flags & (PF_R | PF_W)) != PF_R) continue;
      const auto bytes = content(p);
      text = hash(bytes.data(), bytes.size(), text);
    }
    id.number = text ^ shape;
  }
  if (id.number == 0) id.number = 1;
  if (id.build.empty())
    id.build = "none, hash " + hexadecimal(std::as_bytes(std::span(&id.number, 1)));
  return id;
}

}  // namespace procpool::base
