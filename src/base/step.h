// SPDX-License-Identifier: MIT
// PROCPOOL_STEP("worker: claimed, not started") marks a place between two steps of a protocol,
// where a process may be killed. In builds with PROCPOOL_STEPS a test can kill it exactly there; in
// others the mark is nothing.
#pragma once

#ifdef PROCPOOL_STEPS

#include <cstdint>
#include <string>
#include <vector>

namespace procpool::base::step {

struct count {
  std::string name;
  std::uint64_t hits;  ///< over all processes
};

/// Begins to count, from zero, with nothing armed. Before the processes that shall share it.
void enable();
/// The process that comes by `name` for the nth time from now on, counted over all, dies there by
/// SIGKILL. One step is armed at a time in a test that looks at fired().
void arm(const char* name, std::uint64_t nth = 1) noexcept;
bool fired() noexcept;
std::vector<count> list();
void hit(const char* name) noexcept;

}  // namespace procpool::base::step

#define PROCPOOL_STEP(name) ::procpool::base::step::hit(name)

#else

#define PROCPOOL_STEP(name) static_cast<void>(0)

#endif
