// SPDX-License-Identifier: MIT
// This program, executed again: what forkserver and spawn begin with. /proc/self/exe is the file
// that runs, also when another has taken its place on disk.
//
// The command line of the new execution says what it is to be, after the program's own name; the
// environment says how deep in pools within pools it is. Standard input, output and error,
// directory and environment are its maker's; of other descriptors it has those that were named.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <span>

namespace procpool::process {

/// Pools within workers within pools, and so on: so deep, and no deeper.
inline constexpr int most_depth = 8;

/// What an execution is to be.
struct assignment {
  enum class role { zygote, worker } as;
  std::uint32_t worker = 0;
};

/// Its descriptors are numbered from here on.
inline constexpr int first_descriptor = 3;

/// In main, before anything else (procpool::init): what the program is called by.
void note_program(const char* name);
/// note_program was called: the program can be executed again.
[[nodiscard]] bool program_noted() noexcept;
/// Nothing: it was executed by its user.
std::optional<assignment> read_assignment(int argc, const char* const* argv) noexcept;

/// 0 in a process that is no pool's worker.
[[nodiscard]] int depth() noexcept;
void set_depth(int depth) noexcept;
/// In a fresh execution: what its maker said, which is then taken out of the environment.
int take_depth() noexcept;

/// Starts one, with every signal blocked, its depth one more than ours; from any thread: nothing of
/// this process is copied. Returns its pid. Throws std::system_error.
pid_t execute_again(const assignment& a, std::span<const int> descriptors);

/// Becomes one, in a process with one thread: returns only with what kept it, as errno.
int become_again(const assignment& a, std::span<const int> descriptors) noexcept;

}  // namespace procpool::process
