// SPDX-License-Identifier: MIT
#include "local/boot.h"

#include <cstdint>
#include <cstring>
#include <memory>
#include <type_traits>

#include "base/entry.h"
#include "base/modules.h"
#include "procpool/error.h"

namespace procpool::local {
namespace {

struct call_record {
  base::token entry;  // module 0: there is no such call
  std::uint64_t type;
  std::uint64_t size;  // of the bytes that follow the boot_record, in the order of its calls
};

struct boot_record {
  std::uint32_t quota;
  std::uint32_t spawn;
  std::uint32_t crash_traces;
  std::uint64_t most_memory;
  worker_limits limits;
  call_record initializer;
  call_record finalizer;
};
static_assert(std::is_trivially_copyable_v<boot_record>);

std::size_t padded(std::size_t n) noexcept { return (n + 15) / 16 * 16; }

std::size_t size_of(const call& c) noexcept { return c ? padded(c->bytes.size()) : 0; }

call_record record_of(const call& c) {
  if (!c) return {};
  return {base::name(c->entry), c->entry->type, c->bytes.size()};
}

std::byte* write(const call& c, std::byte* at) noexcept {
  if (c && !c->bytes.empty()) std::memcpy(at, c->bytes.data(), c->bytes.size());
  return at + size_of(c);
}

call read(const call_record& r, const std::byte*& at) {
  if (r.entry.module == 0) return nullptr;
  auto made = std::make_shared<detail::encoded_call>();
  base::load_module(r.entry.module);
  made->entry = base::find_entry(r.entry, r.type);
  if (made->entry == nullptr)
    throw serialization_error(
        "procpool: the code of the initializer, or finalizer, is something else in this worker");
  made->bytes.assign(at, at + r.size);
  at += padded(r.size);
  return made;
}

}  // namespace

std::size_t boot_size(const boot& b) noexcept {
  return padded(sizeof(boot_record)) + size_of(b.options.initializer) +
         size_of(b.options.finalizer);
}

void write_boot(const boot& b, shm::header& head, std::byte* at) {
  const boot_record r{b.options.quota,
                      b.spawn ? 1U : 0U,
                      b.options.crash_traces ? 1U : 0U,
                      b.options.most_memory,
                      b.options.limits,
                      record_of(b.options.initializer),
                      record_of(b.options.finalizer)};
  std::memcpy(at, &r, sizeof r);
  write(b.options.finalizer, write(b.options.initializer, at + padded(sizeof r)));
  head.boot_at =
      static_cast<std::uint64_t>(at - reinterpret_cast<std::byte*>(&head)) - head.parcels_at;
}

boot read_boot(const shm::segment& memory) {
  if (memory.head().boot_at == shm::no_record)
    throw error("procpool: the pool's memory has nothing for a fresh execution");
  const std::byte* at = memory.parcels().data() + memory.head().boot_at;
  boot_record r;
  std::memcpy(&r, at, sizeof r);
  at += padded(sizeof r);
  boot b;
  b.options.quota = r.quota;
  b.spawn = r.spawn != 0;
  b.options.crash_traces = r.crash_traces != 0;
  b.options.most_memory = r.most_memory;
  b.options.limits = r.limits;
  b.options.initializer = read(r.initializer, at);
  b.options.finalizer = read(r.finalizer, at);
  return b;
}

}  // namespace procpool::local
