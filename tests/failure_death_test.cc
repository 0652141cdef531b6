// SPDX-License-Identifier: MIT
// A worker's end, by every way a process can go, at every moment of an item's life: the item says
// how and where, everybody else's result is there.
#include <gtest/gtest.h>
#include <pthread.h>
#include <sys/resource.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <string>
#include <vector>

#include "procpool/procpool.h"
#include "support/fork_test.h"

namespace procpool {
namespace {

using namespace testing;  // NOLINT: this file is about what stands there
using testing::shared;    // not the handle

struct way {
  const char* name;
  void (*go)();
  int signal;
  int exit_code;
};

template <int Signal>
void raise_it() {
  ::kill(::getpid(), Signal);
}

// In a way that no compiler sees through, and no sanitizer reports instead.
__attribute__((no_sanitize("undefined", "address", "thread"))) void fault() {
  volatile int* volatile nowhere = nullptr;
  *nowhere = 1;
}

#define BY_SIGNAL(s) \
  { #s, raise_it < s>, s, -1 }
const way ways[] = {
    BY_SIGNAL(SIGSEGV),
    BY_SIGNAL(SIGKILL),
    BY_SIGNAL(SIGFPE),
    BY_SIGNAL(SIGBUS),
    BY_SIGNAL(SIGILL),
    BY_SIGNAL(SIGTERM),
    BY_SIGNAL(SIGHUP),
    BY_SIGNAL(SIGQUIT),
    BY_SIGNAL(SIGPIPE),
    BY_SIGNAL(SIGUSR1),
    BY_SIGNAL(SIGALRM),
    BY_SIGNAL(SIGXCPU),
    BY_SIGNAL(SIGSYS),
    BY_SIGNAL(SIGTRAP),
    {"SIGSEGV", fault, SIGSEGV, -1},
    {"SIGABRT", [] { std::abort(); }, SIGABRT, -1},
    // Closed first: what it prints is not this test's output.
    {"SIGABRT",
     [] {
       ::close(2);
       std::terminate();
     },
     SIGABRT, -1},
    {"code 3", [] { ::_exit(3); }, 0, 3},
    {"code 0", [] { ::_exit(0); }, 0, 0},
    {"code 4", [] { std::quick_exit(4); }, 0, 4},
    // pthread_exit ends the process's only thread, which is no failure of its own.
    {"code 1", [] { ::pthread_exit(nullptr); }, 0, 1},
#if !defined(__SANITIZE_ADDRESS__)  // its leak check at exit would look at a copy of our heap
    {"code 5", [] { std::exit(5); }, 0, 5},
#endif
};
#undef BY_SIGNAL
constexpr int way_count = static_cast<int>(std::size(ways));

void die(int by) {
  const struct rlimit none { 0, 0 };
  ::setrlimit(RLIMIT_CORE, &none);
  shared[0] = ::getpid();
  ways[by].go();
  ::_exit(99);  // it did not go
}

/// Dies in its codec, in the process that is not the test's.
inline pid_t test_process = ::getpid();
template <bool AtSave>
struct deadly {
  int by = -1;
  template <class Archive>
  void save(Archive& archive) const {
    if (AtSave && by >= 0 && ::getpid() != test_process) die(by);
    archive(by);
  }
  template <class Archive>
  void load(Archive& archive) {
    archive(by);
    if (!AtSave && by >= 0 && ::getpid() != test_process) die(by);
  }
};

int run(int by) {
  if (by >= 0) die(by);
  return by;
}
int decode(const deadly<false>& d) { return d.by; }
deadly<true> encode(int by) { return {by}; }

/// Of a signal that our handlers do not see nobody knows who sent it: it is the kind that others
/// send, or the kind that one brings upon oneself.
worker_died::cause_type cause_of(const way& by) {
  switch (by.signal) {
    case 0:
      return worker_died::cause_type::exited;
    case SIGKILL:
    case SIGTERM:
    case SIGHUP:
    case SIGQUIT:
    case SIGUSR1:
      return worker_died::cause_type::killed;
    default:
      return worker_died::cause_type::signalled;
  }
}

void expect_death(const std::exception_ptr& error, const way& by, std::size_t index) {
  const auto e = thrown_by<worker_died>(error);
  EXPECT_EQ(e.pid(), shared[0].load());
  EXPECT_EQ(e.signal(), by.signal);
  EXPECT_EQ(e.exit_code(), by.exit_code);
  EXPECT_EQ(e.cause(), cause_of(by));
  EXPECT_EQ(e.index(), index);
  EXPECT_NE(std::string(e.what()).find(by.name), std::string::npos) << e.what();
  EXPECT_NE(std::string(e.what()).find(std::to_string(e.pid())), std::string::npos) << e.what();
}

class failure_death : public fork_test {
 protected:
  failure_death() { test_process = ::getpid(); }
};

template <class F, class Make>
void each_way(pool& p, F f, Make item) {
  for (int by = 0; by < way_count; ++by) {
    SCOPED_TRACE(ways[by].name);
    // Item 3 of seven in one chunk dies.
    std::vector items(7, item(-1));
    items[3] = item(by);
    const auto all = p.try_map({.chunksize = 7}, f, items);
    for (std::size_t i = 0; i < all.size(); ++i) {
      if (i != 3) {
        EXPECT_TRUE(all[i]) << i;
      } else {
        ASSERT_FALSE(all[i]);
        expect_death(all[i].error(), ways[by], 3);
      }
    }
  }
  EXPECT_EQ(p.apply([](int x) { return x + 1; }, 1), 2);
}

// Complaints 1, 3 and 6: the task is lost and get() hangs; or all tasks are; sys.exit in a task
// hangs. Complaint 31: the error says neither pid nor exit code nor task.
TEST_F(failure_death, WhileRunning) {
  pool p(2);
  each_way(p, run, [](int by) { return by; });
}

TEST_F(failure_death, WhileDecodingAnArgument) {
  pool p(2);
  each_way(p, decode, [](int by) { return deadly<false>{by}; });
}

// Complaint 2: a worker that dies writing leaves a lock locked for ever.
TEST_F(failure_death, WhileEncodingAResult) {
  pool p(2);
  each_way(p, encode, [](int by) { return by; });
}

TEST_F(failure_death, OfApplySaysIndexZero) {
  pool p(1);
  for (int by = 0; by < way_count; ++by) {
    SCOPED_TRACE(ways[by].name);
    try {
      p.apply(run, by);
      ADD_FAILURE() << "it lives";
    } catch (const worker_died&) {
      expect_death(std::current_exception(), ways[by], 0);
    }
  }
  EXPECT_EQ(p.apply(run, -7), -7);
}

struct megabyte {
  std::vector<char> bytes = std::vector<char>(1 << 20, 'x');
  bool last = false;
  template <class Archive>
  void save(Archive& archive) const {
    if (last) ::kill(::getpid(), SIGKILL);
    archive(bytes, last);
  }
  template <class Archive>
  void load(Archive& archive) {
    archive(bytes, last);
  }
};

std::vector<megabyte> much(bool dies) {
  std::vector<megabyte> all(200);
  all[100].last = dies;
  return all;
}

// Complaint 21 with 2: large results and death.
TEST_F(failure_death, HalfWayThroughALargeResult) {
  pool p(1);
  auto e = thrown_by<worker_died>([&] { return p.apply(much, true); });
  EXPECT_EQ(e.signal(), SIGKILL);
  EXPECT_EQ(p.apply(much, false).size(), 200U);
}

TEST_F(failure_death, InsideAnItemThatFollowsALargeResultKeepsThatResult) {
  pool p(1);
  const auto all = p.try_map(
      {.chunksize = 3},
      [](int i) {
        if (i == 1) ::kill(::getpid(), SIGSEGV);
        return std::string(5'000'000, static_cast<char>('a' + i));
      },
      std::vector<int>{0, 1, 2});
  EXPECT_EQ(all[0].value(), std::string(5'000'000, 'a'));
  EXPECT_EQ(thrown_by<worker_died>(all[1].error()).signal(), SIGSEGV);
  EXPECT_EQ(all[2].value(), std::string(5'000'000, 'c'));
}

}  // namespace
}  // namespace procpool
