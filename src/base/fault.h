// SPDX-License-Identifier: MIT
// Makes the nth call of a system call fail, in builds with PROCPOOL_FAULTS; else nothing at all.
// sys.cc asks; tests arm. The plan is in shared memory, so a test arms in the parent what fails in
// the zygote or in a worker, and counts are over all processes.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace procpool::base::fault {

struct count {
  std::string name;  ///< of the function in sys.h
  std::uint64_t calls;
};

#ifdef PROCPOOL_FAULTS

/// Counts a call; true, with errno set, when it shall fail.
bool strikes(const char* call) noexcept;
/// Begins to count, from zero, with nothing armed. Before the processes that shall share it.
void reset();
std::vector<count> counts();
/// The nth call of `call` from now on fails with `error`, and so do those behind it, `times` in
/// all.
void arm(const char* call, std::uint64_t nth, int error, std::uint64_t times = 1) noexcept;
/// Whether what was armed last has happened.
bool fired() noexcept;

#else

constexpr bool strikes(const char*) noexcept { return false; }
inline void reset() {}
inline std::vector<count> counts() { return {}; }
inline void arm(const char*, std::uint64_t, int, std::uint64_t = 1) noexcept {}
inline bool fired() noexcept { return false; }

#endif

}  // namespace procpool::base::fault
