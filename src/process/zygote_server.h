// SPDX-License-Identifier: MIT
// The zygote's side, in the zygote: what the forked copy of the owner does until it ends.
#pragma once

#include <string_view>

#include "base/fd.h"
#include "process/zygote.h"

namespace procpool::process {

/// Takes the process over: called in the fresh copy, or execution, with every signal blocked.
/// `parent`: a pidfd of the owner's process. It lives as long as that process and `socket` do; its
/// workers live no longer than it does.
[[noreturn]] void serve_zygote(base::fd socket, base::fd parent, const child_function& child,
                               const preparation& prepare) noexcept;

/// As exec does: what is handled gets its default, what is ignored (nohup) stays ignored. But
/// SIGCHLD is needed, and SIGINT reaches all that a terminal shows, where the owner decides. For a
/// copy of the user's process, and for an execution whose static constructors may have installed
/// handlers. Throws std::system_error.
void put_handlers_away();

/// The name that ps shows; its loss would hurt nobody.
void rename(const char* name) noexcept;
inline constexpr const char* worker_name = "procpool worker";

/// Instead: tells the owner why it does not serve, by an errno or in words, and ends.
[[noreturn]] void refuse_to_serve(const base::fd& socket, int error) noexcept;
[[noreturn]] void refuse_to_serve(const base::fd& socket, std::string_view why) noexcept;

/// How a worker goes: by _exit, as what exit() would run and destroy is the owner's, or was never
/// meant to run here. What it wrote by stdio is flushed.
[[noreturn]] void leave(int status) noexcept;

}  // namespace procpool::process
