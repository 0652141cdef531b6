// SPDX-License-Identifier: MIT
// A system that refuses: too few processes, descriptors, addresses. The constructor throws, nothing
// is left behind; and with just enough the pool works.
#include <grp.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <cstdio>
#include <fstream>
#include <string>
#include <system_error>
#include <vector>

#include "procpool/procpool.h"
#include "support/fork_test.h"

namespace procpool {
namespace {

using namespace testing;  // NOLINT: this file is about what stands there

int twice(int x) { return 2 * x; }

void limit(int resource, rlim_t to) {
  struct rlimit l {};
  ::getrlimit(static_cast<__rlimit_resource>(resource), &l);
  l.rlim_cur = to;
  ::setrlimit(static_cast<__rlimit_resource>(resource), &l);
}

/// Makes a pool of two under ever weaker limits until one works; the others threw std::system_error
/// and left nothing. True: so it was, and at least `least` were refused.
bool refused_until_enough(int resource, rlim_t from, rlim_t step, rlim_t last, int least) {
  const pool_census before;
  int refused = 0;
  for (rlim_t to = from; to <= last; to += step) {
    limit(resource, to);
    bool good = false;
    try {
      pool p(2);
      good = p.map({.chunksize = 1}, twice, std::vector<int>{1, 2, 3}) == std::vector<int>{2, 4, 6};
      if (!good) return false;
    } catch (const std::system_error& e) {
      ++refused;
    } catch (const pool_broken&) {
      // The parent has what it needs, each worker lacks something.
      ++refused;
    }
    limit(resource, RLIM_INFINITY);
    if (resource == RLIMIT_NOFILE) limit(resource, 1024);
    reap_orphans();
    const auto same = before.unchanged();
    if (!same) {
      std::fprintf(stderr, "limit %lu: %s\n", static_cast<unsigned long>(to), same.message());
      return false;
    }
    if (good) {
      std::printf("%d refused, enough at %lu\n", refused, static_cast<unsigned long>(to));
      std::fflush(stdout);  // the child leaves by _exit
      return refused >= least;
    }
  }
  std::fprintf(stderr, "never enough\n");
  return false;
}

class failure_limits : public fork_test {};

// Complaint 27: validate limits in the constructor instead of hanging.
TEST_F(failure_limits, Processes) {
  EXPECT_TRUE(in_a_child([] {
    if (::getuid() == 0) {  // whom this limit does not bind
      if (::setgroups(0, nullptr) != 0 || ::setgid(65534) != 0 || ::setuid(65534) != 0)
        return false;
      ::prctl(PR_SET_DUMPABLE, 1);  // or /proc/self is root's
      return refused_until_enough(RLIMIT_NPROC, 0, 1, 10'000, 3);
    }
    // As the user who builds this, with who knows how many processes.
    limit(RLIMIT_NPROC, 0);
    try {
      pool p(2);
    } catch (const std::system_error&) {
      return true;
    }
    return false;
  }));
}

TEST_F(failure_limits, Descriptors) {
  EXPECT_TRUE(in_a_child([] { return refused_until_enough(RLIMIT_NOFILE, 3, 1, 100, 8); }));
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
TEST_F(failure_limits, Addresses) {
  EXPECT_TRUE(in_a_child([] {
    std::size_t pages = 0;
    std::ifstream("/proc/self/statm") >> pages;
    const rlim_t now = pages * 4096;
    // Three windows of the least size are 192 MB.
    return refused_until_enough(RLIMIT_AS, now + (1 << 20), 16 << 20, now + (4UL << 30), 4);
  }));
}
#endif

TEST_F(failure_limits, FileSize) {
  EXPECT_TRUE(in_a_child(
      [] { return refused_until_enough(RLIMIT_FSIZE, 1 << 20, 32 << 20, 4UL << 30, 4); }));
}

}  // namespace
}  // namespace procpool
