// SPDX-License-Identifier: MIT
// The parent's modules, told to workers through parcels: a list that only grows, newest first. The
// parent appends under the engine's lock; workers read at any time.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <vector>

#include "base/entry.h"
#include "shm/layout.h"

namespace procpool::shm {

/// Bytes that the records of these modules take.
std::size_t module_records_size(std::span<const base::module_name> modules) noexcept;
/// Writes the records to `at`, which lies in parcels and stays, and publishes them.
void add_modules(header& head, std::byte* at, std::span<const base::module_name> modules) noexcept;

/// In a worker: all of them; the one that has this id.
std::vector<base::module_name> modules_of(const header& head);
std::optional<base::module_name> module_of(const header& head, std::uint64_t id);

}  // namespace procpool::shm
