// SPDX-License-Identifier: MIT
#include "base/entry.h"

#include <elf.h>
#include <link.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <memory>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "base/module_id.h"
#include "base/modules.h"
#include "procpool/detail/code.h"
#include "procpool/error.h"

namespace procpool::base {
namespace {

struct segment {
  std::uint64_t begin;  // offsets from where the module is loaded
  std::uint64_t end;
  std::uint32_t flags;  // PF_R, PF_W, PF_X
};

struct module {
  std::uint64_t id = 0;
  std::uintptr_t base = 0;
  std::string path;  // as the loader knows it; empty: the program
  std::string build;
  std::vector<segment> segments;

  // The segment that holds all of [offset, offset + size).
  [[nodiscard]] const segment* holding(std::uint64_t offset, std::uint64_t size) const noexcept {
    for (const segment& s : segments)
      if (offset >= s.begin && offset < s.end && size <= s.end - offset) return &s;
    return nullptr;
  }
};

// How many modules were ever loaded and unloaded: when it is what it was, so are the modules.
struct generation {
  unsigned long long loaded = 0;
  unsigned long long unloaded = 0;
  friend bool operator==(const generation&, const generation&) = default;
};

// The modules of one generation. Immutable once published, and never freed, as any thread may be
// reading it: one for each change of the modules that somebody noticed, reachable from the newest.
struct table {
  generation at;
  std::vector<module> modules;
  const table* previous = nullptr;

  [[nodiscard]] const module* by_id(std::uint64_t id) const noexcept {
    for (const module& m : modules)
      if (m.id == id) return &m;
    return nullptr;
  }
  [[nodiscard]] const module* around(std::uintptr_t address) const noexcept {
    for (const module& m : modules)
      if (m.holding(address - m.base, 1) != nullptr) return &m;
    return nullptr;
  }
};

// No lock of ours guards it: a fork at any moment leaves the child a whole table.
std::atomic<const table*> newest{nullptr};

const std::byte* at(const dl_phdr_info& info, const ElfW(Phdr) & segment) noexcept {
  return reinterpret_cast<const std::byte*>(info.dlpi_addr + segment.p_vaddr);
}

module describe(const dl_phdr_info& info) {
  module m;
  m.base = info.dlpi_addr;
  m.path = info.dlpi_name != nullptr ? info.dlpi_name : "";
  const std::span segments(info.dlpi_phdr, info.dlpi_phnum);
  for (const ElfW(Phdr) & p : segments)
    if (p.p_type == PT_LOAD) m.segments.push_back({p.p_vaddr, p.p_vaddr + p.p_memsz, p.p_flags});
  module_id id = identify(
      segments, [&info](const ElfW(Phdr) & p) { return std::span(at(info, p), p.p_memsz); });
  m.id = id.number;
  m.build = std::move(id.build);
  return m;
}

generation generation_of(const dl_phdr_info& info) noexcept {
  return {info.dlpi_adds, info.dlpi_subs};
}

// Asks the loader, which takes a lock of its own that glibc's fork does not look after: in a copy
// of a threaded process it may stay locked for ever. A zygote proves that it is free before
// anything is run there (zygote_server.cc), and has no second thread that could hold it at a later
// fork.
generation current_generation() noexcept {
  generation now;
  dl_iterate_phdr(
      [](dl_phdr_info* info, std::size_t, void* to) {
        *static_cast<generation*>(to) = generation_of(*info);
        return 1;
      },
      &now);
  return now;
}

std::unique_ptr<table> read_modules() {
  auto fresh = std::make_unique<table>();
  struct walk {
    table& to;
    bool complete;
  } w{*fresh, true};
  dl_iterate_phdr(
      [](dl_phdr_info* info, std::size_t, void* arg) {
        walk& here = *static_cast<walk*>(arg);
        try {
          here.to.at = generation_of(*info);
          here.to.modules.push_back(describe(*info));
          return 0;
        } catch (...) {  // must not pass through the loader's frames
          here.complete = false;
          return 1;
        }
      },
      &w);
  if (!w.complete) throw std::bad_alloc();
  return fresh;
}

// The modules as they are now.
const table& current() {
  const table* known = newest.load(std::memory_order_acquire);
  while (known == nullptr || known->at != current_generation()) {
    std::unique_ptr<table> fresh = read_modules();
    fresh->previous = known;
    if (newest.compare_exchange_strong(known, fresh.get(), std::memory_order_acq_rel))
      known = fresh.release();
  }
  return *known;
}

// The program itself comes first, and stays for as long as the process: once it is known, nobody
// has to ask the loader for it.
const module* program() noexcept {
  const table* known = newest.load(std::memory_order_acquire);
  return known != nullptr && known->modules.front().path.empty() ? &known->modules.front()
                                                                 : nullptr;
}

// What the token names, when all `size` bytes of it lie in a segment that has these flags.
const void* find(token t, std::uint64_t size, std::uint32_t flags) noexcept {
  try {
    const module* m = program();
    if (m == nullptr || m->id != t.module) m = current().by_id(t.module);
    if (m == nullptr) return nullptr;
    const segment* s = m->holding(t.offset, size);
    if (s == nullptr || (s->flags & flags) != flags) return nullptr;
    return reinterpret_cast<const void*>(m->base + t.offset);
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}

// Reads what may be anything, as long as it can be read: a sanitizer would say so.
__attribute__((no_sanitize("address", "thread"))) bool is_entry(const detail::entry_point* e,
                                                                std::uint64_t type) noexcept {
  return e->magic == detail::entry_point::magic_value && e->type == type;
}

}  // namespace

token name(const void* address) {
  const auto place = reinterpret_cast<std::uintptr_t>(address);
  if (const module* m = program(); m != nullptr && m->holding(place - m->base, 1) != nullptr)
    return {m->id, place - m->base};
  // A file loaded twice has two modules of one id: both name the same place in the first of them.
  if (const module* m = current().around(place)) return {m->id, place - m->base};
  throw error(
      "procpool: the address of this function or constant lies in no loaded module (made at run "
      "time, or its library was unloaded)");
}

void name_all(std::span<detail::place> places) {
  if (places.empty()) return;
  const table& modules = current();
  for (detail::place& p : places)
    if (const module* m = modules.around(p.offset)) p = {m->id, p.offset - m->base};
}

std::vector<module_name> modules() {
  std::vector<module_name> all;
  for (const module& m : current().modules) all.push_back({m.id, m.path, m.build});
  return all;
}

bool is_loaded(std::uint64_t id) { return current().by_id(id) != nullptr; }

std::uint64_t modules_seen() noexcept {
  return reinterpret_cast<std::uintptr_t>(newest.load(std::memory_order_relaxed));
}

token name_in_handler(std::uintptr_t address) noexcept {
  if (const table* known = newest.load(std::memory_order_acquire))
    for (const module& m : known->modules)
      if (m.holding(address - m.base, 1) != nullptr) return {m.id, address - m.base};
  return {0, address};
}

std::optional<std::string> path_of(std::uint64_t id) {
  // What is known already is found without the loader's lock, which a forked copy of a busy process
  // may have inherited locked.
  const table* seen = newest.load(std::memory_order_acquire);
  const module* known = seen != nullptr ? seen->by_id(id) : nullptr;
  if (known == nullptr) known = current().by_id(id);
  if (known == nullptr) return std::nullopt;
  return known->path;
}

const void* find(token t) noexcept { return find(t, 1, 0); }

const void* find_code(token t) noexcept { return find(t, 1, PF_X); }

const detail::entry_point* find_entry(token t, std::uint64_t type) noexcept {
  using detail::entry_point;
  const void* place = find(t, sizeof(entry_point), PF_R);
  if (place == nullptr || reinterpret_cast<std::uintptr_t>(place) % alignof(entry_point) != 0)
    return nullptr;
  const auto* e = static_cast<const entry_point*>(place);
  return is_entry(e, type) ? e : nullptr;
}

}  // namespace procpool::base

namespace procpool::detail {

void write_code(writer& out, const void* address) {
  const base::token t = address == nullptr ? base::token{0, 0} : base::name(address);
  out.raw(&t, sizeof t);
}

const void* read_code(reader& in) {
  base::token t;
  in.raw(&t, sizeof t);
  if (t == base::token{0, 0}) return nullptr;
  const void* code = base::find_code(t);
  if (code == nullptr) {
    base::load_module(t.module);
    code = base::find_code(t);
  }
  if (code == nullptr) throw serialization_error("procpool: the bytes name no function");
  return code;
}

}  // namespace procpool::detail
