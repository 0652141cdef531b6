// SPDX-License-Identifier: MIT
#include "base/module_id.h"

#include <cstring>

namespace procpool::base {

std::span<const std::byte> build_id(std::span<const std::byte> notes,
                                    std::uint64_t alignment) noexcept {
  const std::uint64_t boundary = alignment == 8 ? 8 : 4;
  const auto padded = [&](std::uint64_t n) { return (n + boundary - 1) / boundary * boundary; };
  while (notes.size() >= sizeof(ElfW(Nhdr))) {
    ElfW(Nhdr) note;
    std::memcpy(&note, notes.data(), sizeof note);
    const std::uint64_t description = padded(sizeof note + note.n_namesz);
    const std::uint64_t size = description + padded(note.n_descsz);
    if (size > notes.size()) break;
    if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == sizeof ELF_NOTE_GNU &&
        std::memcmp(notes.data() + sizeof note, ELF_NOTE_GNU, sizeof ELF_NOTE_GNU) == 0)
      return notes.subspan(description, note.n_descsz);
    notes = notes.subspan(size);
  }
  return {};
}

std::string hexadecimal(std::span<const std::byte> bytes) {
  std::string text;
  for (const std::byte b : bytes)
    for (const unsigned digit :
         {std::to_integer<unsigned>(b) >> 4, std::to_integer<unsigned>(b) & 15})
      text += "0123456789abcdef"[digit];
  return text;
}

}  // namespace procpool::base
