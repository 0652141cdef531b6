// SPDX-License-Identifier: MIT
#include "shm/module_list.h"

#include <cstring>
#include <string>

namespace procpool::shm {
namespace {

std::size_t record_size(const base::module_name& m) noexcept {
  return (sizeof(module_record) + m.path.size() + m.build.size() + 7) / 8 * 8;
}

// Calls use(module) for each until it says true. The list was written by the parent.
template <class Use>
void walk(const header& head, Use&& use) {
  const auto* parcels = reinterpret_cast<const std::byte*>(&head) + head.parcels_at;
  for (std::uint64_t at = head.modules.load(std::memory_order_acquire); at != no_record;) {
    module_record r;
    std::memcpy(&r, parcels + at, sizeof r);
    const auto* text = reinterpret_cast<const char*>(parcels + at + sizeof r);
    if (use(base::module_name{r.id, std::string(text, r.path_size),
                              std::string(text + r.path_size, r.build_size)}))
      return;
    at = r.previous;
  }
}

}  // namespace

std::size_t module_records_size(std::span<const base::module_name> modules) noexcept {
  std::size_t size = 0;
  for (const base::module_name& m : modules) size += record_size(m);
  return size;
}

void add_modules(header& head, std::byte* at, std::span<const base::module_name> modules) noexcept {
  const auto* parcels = reinterpret_cast<const std::byte*>(&head) + head.parcels_at;
  std::uint64_t newest = head.modules.load(std::memory_order_relaxed);
  for (const base::module_name& m : modules) {
    const module_record r{newest, m.id, static_cast<std::uint32_t>(m.path.size()),
                          static_cast<std::uint32_t>(m.build.size())};
    std::memcpy(at, &r, sizeof r);
    std::memcpy(at + sizeof r, m.path.data(), m.path.size());
    std::memcpy(at + sizeof r + m.path.size(), m.build.data(), m.build.size());
    newest = static_cast<std::uint64_t>(at - parcels);
    at += record_size(m);
  }
  head.modules.store(newest, std::memory_order_release);
}

std::vector<base::module_name> modules_of(const header& head) {
  std::vector<base::module_name> all;
  walk(head, [&](base::module_name m) {
    all.push_back(std::move(m));
    return false;
  });
  return all;
}

std::optional<base::module_name> module_of(const header& head, std::uint64_t id) {
  std::optional<base::module_name> found;
  walk(head, [&](base::module_name m) {
    if (m.id != id) return false;
    found = std::move(m);
    return true;
  });
  return found;
}

}  // namespace procpool::shm
