// SPDX-License-Identifier: MIT
// The zygote's side, in the zygote: what the forked copy of the owner does until it ends.
#pragma once

#include "base/fd.h"
#include "process/zygote.h"

namespace procpool::process {

/// Takes the process over: called in the fresh copy, with every signal blocked. `parent`: a pidfd
/// of the owner's process. It lives as long as that process and `socket` do; its workers live no
/// longer than it does.
[[noreturn]] void serve_zygote(base::fd socket, base::fd parent,
                               const child_function& child) noexcept;

}  // namespace procpool::process
