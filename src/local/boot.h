// SPDX-License-Identifier: MIT
// What a fresh execution of the program must know to be a pool's zygote or worker, where a forked
// copy just has it. The owner writes it into parcels before it starts the zygote; the other side
// finds it by the segment's header.
#pragma once

#include <cstddef>
#include <span>

#include "local/child.h"
#include "shm/segment.h"

namespace procpool::local {

struct boot {
  child_options options;
  bool spawn = false;  ///< each worker is executed anew, not forked from the zygote
};

/// Bytes that write_boot needs, in parcels, aligned to 16.
std::size_t boot_size(const boot& b) noexcept;
/// Throws procpool::error when a call's function lies in no module.
void write_boot(const boot& b, shm::header& head, std::byte* at);

/// Throws serialization_error: a call's function is not in this execution.
boot read_boot(const shm::segment& memory);

}  // namespace procpool::local
