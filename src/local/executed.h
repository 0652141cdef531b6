// SPDX-License-Identifier: MIT
// A fresh execution of the program as what it was executed for: a pool's zygote, or a worker.
#pragma once

#include "process/program.h"

namespace procpool::local {

/// Does what `a` says, and ends the process. Called from procpool::init.
[[noreturn]] void serve(const process::assignment& a) noexcept;

}  // namespace procpool::local
