// SPDX-License-Identifier: MIT
#include "symbols/symbols.h"

#include <fcntl.h>

#include <array>
#include <atomic>
#include <utility>

#include "base/demangle.h"
#include "base/entry.h"
#include "base/fd.h"
#include "base/sys.h"

namespace procpool::symbols {
namespace {

constexpr const char* own_program = "/proc/self/exe";

std::string target_of(const char* link) {
  std::array<char, 4096> path;
  const ssize_t size = sys::readlink(link, path.data(), path.size());
  return size > 0 ? std::string(path.data(), static_cast<std::size_t>(size)) : link;
}

std::atomic<cache*> newest{nullptr};

}  // namespace

cache::cache(const char* libdw) : owner_(sys::getpid()), libdw_name_(libdw) {}

cache& cache::of_this_process() {
  cache* known = newest.load(std::memory_order_acquire);
  while (known == nullptr || known->owner_ != sys::getpid()) {
    auto fresh = std::make_unique<cache>();
    if (newest.compare_exchange_strong(known, fresh.get(), std::memory_order_acq_rel))
      known = fresh.release();
  }
  return *known;
}

cache::module* cache::find(std::uint64_t id) {
  if (const auto known = modules_.find(id); known != modules_.end()) return &known->second;
  const auto path = base::path_of(id);
  if (!path) return nullptr;
  module m;
  m.path = path->empty() ? target_of(own_program) : *path;
  // The program by the kernel's own link, which still means it when its file was replaced. The vdso
  // has a name and no file.
  base::fd file;
  if (path->empty() || path->find('/') != std::string::npos)
    file.reset(sys::open(path->empty() ? own_program : path->c_str(),
                         O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (file) m.file = elf_file::read(file.get());
  if (m.file && m.file->id() != id) m.file = nullptr;
  if (m.file) {
    if (!std::exchange(libdw_tried_, true)) libdw_ = load_libdw(libdw_name_);
    m.lines = std::make_unique<dwarf_lines>(libdw_, file.get());
  }
  return &modules_.emplace(id, std::move(m)).first->second;
}

stack_frame cache::describe(const detail::place& p) {
  stack_frame f;
  f.offset = p.offset;
  if (p.module == 0) return f;
  std::lock_guard hold(mutex_);
  const module* m = find(p.module);
  f.module = m != nullptr ? m->path : "?";
  if (m == nullptr || !m->file) return f;
  if (const std::string name = m->file->function_at(p.offset); !name.empty())
    f.function = base::demangled(name.c_str());
  source_line where = m->lines->at(p.offset);
  f.file = std::move(where.file);
  f.line = where.line;
  return f;
}

}  // namespace procpool::symbols
