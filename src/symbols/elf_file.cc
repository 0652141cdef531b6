// SPDX-License-Identifier: MIT
#include "symbols/elf_file.h"

#include <elf.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <span>
#include <tuple>
#include <utility>

#include "base/module_id.h"
#include "base/sys.h"

namespace procpool::symbols {
namespace {

constexpr unsigned char byte_order =
    std::endian::native == std::endian::little ? ELFDATA2LSB : ELFDATA2MSB;

}  // namespace

class elf_file::bytes {
 public:
  bytes(int descriptor, std::uint64_t size) noexcept : descriptor_(descriptor), size_(size) {}

  /// False: the file has no such bytes.
  [[nodiscard]] bool copy(std::uint64_t offset, void* to, std::size_t size) const noexcept {
    if (offset > size_ || size > size_ - offset) return false;
    auto* at = static_cast<std::byte*>(to);
    while (size != 0) {
      const ssize_t n = sys::pread(descriptor_, at, size, static_cast<off_t>(offset));
      if (n <= 0) return false;
      at += n;
      offset += static_cast<std::uint64_t>(n);
      size -= static_cast<std::size_t>(n);
    }
    return true;
  }
  /// Empty when they are not all in the file.
  template <class T>
  [[nodiscard]] std::vector<T> table(std::uint64_t offset, std::uint64_t count) const {
    if (count > size_ / sizeof(T)) return {};
    std::vector<T> all(count);
    if (!copy(offset, all.data(), count * sizeof(T))) all.clear();
    return all;
  }

 private:
  int descriptor_;
  std::uint64_t size_;
};

std::unique_ptr<elf_file> elf_file::read(int descriptor) {
  struct ::stat about {};
  if (sys::fstat(descriptor, &about) != 0 || !S_ISREG(about.st_mode)) return nullptr;
  std::unique_ptr<elf_file> f(new elf_file);
  return f->read(bytes(descriptor, static_cast<std::uint64_t>(about.st_size))) ? std::move(f)
                                                                               : nullptr;
}

bool elf_file::read(const bytes& file) {
  Elf64_Ehdr head;
  if (!file.copy(0, &head, sizeof head) || std::memcmp(head.e_ident, ELFMAG, SELFMAG) != 0 ||
      head.e_ident[EI_CLASS] != ELFCLASS64 || head.e_ident[EI_DATA] != byte_order ||
      head.e_phentsize != sizeof(Elf64_Phdr))
    return false;
  const auto segments = file.table<Elf64_Phdr>(head.e_phoff, head.e_phnum);
  id_ = base::identify(segments, [&file](const Elf64_Phdr& p) {
          return file.table<std::byte>(p.p_offset, p.p_filesz);
        }).number;
  if (head.e_shentsize == sizeof(Elf64_Shdr)) read_functions(file, head.e_shoff, head.e_shnum);
  return true;
}

void elf_file::read_functions(const bytes& file, std::uint64_t sections_at,
                              std::uint32_t sections) {
  const auto all = file.table<Elf64_Shdr>(sections_at, sections);
  const auto of_type = [&](std::uint32_t type) {
    return std::find_if(all.begin(), all.end(),
                        [&](const Elf64_Shdr& s) { return s.sh_type == type; });
  };
  auto table = of_type(SHT_SYMTAB);
  if (table == all.end()) table = of_type(SHT_DYNSYM);
  if (table == all.end() || table->sh_link >= all.size()) return;
  const Elf64_Shdr& strings = all[table->sh_link];
  names_ = file.table<char>(strings.sh_offset, strings.sh_size);
  names_.push_back('\0');
  for (const Elf64_Sym& s :
       file.table<Elf64_Sym>(table->sh_offset, table->sh_size / sizeof(Elf64_Sym))) {
    const unsigned type = ELF64_ST_TYPE(s.st_info);
    const bool is_code = type == STT_FUNC || type == STT_GNU_IFUNC;
    if (!is_code || s.st_shndx == SHN_UNDEF || s.st_name >= names_.size()) continue;
    std::uint64_t size = s.st_size;
    // Of hand-written code that does not say: until the next one, in its section.
    if (size == 0 && s.st_shndx < all.size())
      size = all[s.st_shndx].sh_addr + all[s.st_shndx].sh_size - s.st_value;
    functions_.push_back(
        {s.st_value, size, s.st_name, s.st_size != 0, ELF64_ST_BIND(s.st_info) == STB_GLOBAL});
  }
  const auto order = [](const function& f) { return std::tuple(f.begin, f.sized, f.global); };
  std::sort(functions_.begin(), functions_.end(),
            [&](const function& a, const function& b) { return order(a) < order(b); });
  functions_.shrink_to_fit();
}

std::string elf_file::function_at(std::uint64_t offset) const {
  auto next =
      std::upper_bound(functions_.begin(), functions_.end(), offset,
                       [](std::uint64_t place, const function& f) { return place < f.begin; });
  if (next == functions_.begin()) return {};
  const function& f = *std::prev(next);
  if (offset - f.begin >= f.size) return {};
  return &names_[f.name];
}

}  // namespace procpool::symbols
