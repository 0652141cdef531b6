// SPDX-License-Identifier: MIT
// A fresh execution of the program as what it was executed for: a pool's zygote, or a worker.
#pragma once

#include <vector>

#include "base/fd.h"
#include "process/program.h"
#include "shm/segment.h"

namespace procpool::local {

/// The descriptors that the owner passes to process::zygote_client: the memory, then the bells.
std::vector<int> descriptors_for_zygote(const shm::segment& memory,
                                        const std::vector<base::fd>& bells);

/// Does what `a` says, and ends the process. Called from procpool::init.
[[noreturn]] void serve(const process::assignment& a) noexcept;

}  // namespace procpool::local
