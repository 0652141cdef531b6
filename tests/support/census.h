// SPDX-License-Identifier: MIT
// The census of a pool's test: what process_census.h counts, and threads, shared memory, and
// processes that somebody else left to us.
#pragma once

#include <gtest/gtest.h>
#include <sys/prctl.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <thread>

#include "process_census.h"

namespace procpool::testing {

inline long thread_count() {
  return std::distance(std::filesystem::directory_iterator("/proc/self/task"), {});
}

/// A sanitizer starts a thread of its own with the first of ours: before any count is taken.
inline const bool a_thread_was = (std::thread([] {}).join(), true);

/// As has_no_child, but what has ended is left to its owner to be waited for.
inline bool no_child_is_left() {
  siginfo_t info;
  return ::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == -1 && errno == ECHILD;
}

struct shared_mappings {
  long count = 0;
  std::size_t bytes = 0;
};
/// Of shared memory: memfds and shared anonymous ones. Not the tallies of instrumented builds,
/// which stay once they are there.
inline shared_mappings shared_memory_mapped() {
  shared_mappings all;
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    const bool shared =
        line.find("/memfd:") != std::string::npos || line.find("/dev/zero") != std::string::npos;
    if (!shared || line.find("/memfd:PROCPOOL_") != std::string::npos) continue;
    std::size_t dash = 0;
    const std::uintptr_t from = std::stoull(line, &dash, 16);
    ++all.count;
    all.bytes += std::stoull(line.substr(dash + 1), nullptr, 16) - from;
  }
  return all;
}

/// Taken before a test; afterwards there must be no child, no zombie, no descriptor, thread,
/// mapping, byte of shared memory or blocked signal more.
class full_census {
 public:
  [[nodiscard]] ::testing::AssertionResult unchanged() const {
    if (auto all = census_.unchanged(); !all) return all;
    // The kernel's entry for a thread outlives pthread_join for a moment.
    if (!eventually([&] { return thread_count() <= threads_; }))
      return ::testing::AssertionFailure()
             << "threads: " << thread_count() << ", were " << threads_;
    const shared_mappings now = shared_memory_mapped();
    if (now.count > mappings_.count || now.bytes > mappings_.bytes)
      return ::testing::AssertionFailure()
             << "shared mappings: " << now.count << " of " << now.bytes << " bytes, were "
             << mappings_.count << " of " << mappings_.bytes;
    return ::testing::AssertionSuccess();
  }

 private:
  census census_;
  long threads_ = thread_count();
  shared_mappings mappings_ = shared_memory_mapped();
};

/// Makes this process the one that orphaned workers fall to, too, so that none gets away.
class pool_census : public full_census {
 public:
  pool_census() { ::prctl(PR_SET_CHILD_SUBREAPER, 1); }
};

}  // namespace procpool::testing
