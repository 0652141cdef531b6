// SPDX-License-Identifier: MIT
// The census of a pool's test: what process_census.h counts, and threads, shared memory, and
// processes that somebody else left to us.
#pragma once

#include <gtest/gtest.h>
#include <sys/prctl.h>

#include <algorithm>
#include <chrono>
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

/// Mappings of shared memory: memfds and shared anonymous ones.
inline long shared_mapping_count() {
  std::ifstream maps("/proc/self/maps");
  long n = 0;
  for (std::string line; std::getline(maps, line);)
    if (line.find("/memfd:") != std::string::npos || line.find("/dev/zero") != std::string::npos)
      ++n;
  return n;
}

/// Taken before a test; afterwards there must be no child, no zombie, no descriptor, thread,
/// mapping or blocked signal more. This process becomes the one that orphaned workers fall to, so
/// that none gets away.
class pool_census {
 public:
  pool_census() { ::prctl(PR_SET_CHILD_SUBREAPER, 1); }

  [[nodiscard]] ::testing::AssertionResult unchanged() const {
    if (auto all = census_.unchanged(); !all) return all;
    // The kernel's entry for a thread outlives pthread_join for a moment.
    if (!eventually([&] { return thread_count() <= threads_; }))
      return ::testing::AssertionFailure()
             << "threads: " << thread_count() << ", were " << threads_;
    if (const long n = shared_mapping_count(); n > mappings_)
      return ::testing::AssertionFailure() << "shared mappings: " << n << ", were " << mappings_;
    return ::testing::AssertionSuccess();
  }

 private:
  census census_;
  long threads_ = thread_count();
  long mappings_ = shared_mapping_count();
};

}  // namespace procpool::testing
