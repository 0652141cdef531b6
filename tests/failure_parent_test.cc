// SPDX-License-Identifier: MIT
// The ends of the processes that hold a pool together, and signals to all of them: the owner killed
// by SIGKILL, the zygote killed, Ctrl-C.
#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <memory>
#include <numeric>
#include <string>
#include <thread>
#include <vector>

#include "procpool/procpool.h"
#include "support/fork_test.h"

namespace procpool {
namespace {

using namespace testing;  // NOLINT: this file is about what stands there
using testing::shared;    // not the handle

enum counters : std::size_t { busy = 0, told = 1, pids = 2, interrupts = 20 };

int twice(int x) { return 2 * x; }
int for_ever(int) {
  sigset_t all;
  sigfillset(&all);
  ::sigprocmask(SIG_SETMASK, &all, nullptr);
  ++shared[busy];
  for (volatile unsigned n = 0;;) n = n + 1;
}

class failure_parent : public process_test {
 protected:
  /// An owner of two workers does `what`, which ends with tell(), and is killed: how long its pool
  /// lives.
  template <class What>
  static void expect_nothing_left(const char* name, What what) {
    const pid_t owner = ::fork();
    if (owner == 0) {
      ::alarm(60);
      {
        pool p(of(2));
        p.map({.chunksize = 1}, twice, std::vector<int>(10, 1));
        std::size_t k = pids;
        shared[k++] = the_zygote();
        for (pid_t each : the_workers()) shared[k++] = each;
        what(p);
      }
      ::_exit(1);
    }
    await(told);
    ::kill(owner, SIGKILL);
    const auto start = steady::now();
    const auto gone = [] {
      for (std::size_t k = pids; k < pids + 3; ++k)
        if (is_alive(shared[k])) return false;
      return true;
    };
    EXPECT_TRUE(eventually(gone, seconds(10)));
    const auto took = steady::now() - start;
    EXPECT_LT(took, seconds(1));
    std::printf("owner killed while %s: nothing left after %.1f ms\n", name,
                std::chrono::duration<double, std::milli>(took).count());
    ASSERT_NE(shared[pids].load(), 0);
    ASSERT_NE(shared[pids + 2].load(), 0);
    int status = 0;
    ASSERT_EQ(::waitpid(owner, &status, 0), owner);
    EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    reap_orphans();
  }
  [[noreturn]] static void tell_and_wait() {
    shared[told] = 1;
    for (;;) ::pause();
  }
};

PROCPOOL_PROCESS_METHODS(failure_parent);

// Complaint 17: workers outlive an owner that was killed.
TEST_P(failure_parent, KilledWhileThePoolIsIdle) {
  expect_nothing_left("idle", [](pool&) { tell_and_wait(); });
}

TEST_P(failure_parent, KilledWhileThePoolIsBusy) {
  expect_nothing_left("busy", [](pool& p) {
    auto r = p.map_async({.chunksize = 1}, for_ever, std::vector<int>(10, 1));
    await(busy, 2);
    tell_and_wait();
  });
}

TEST_P(failure_parent, KilledWhileResultsFlow) {
  expect_nothing_left("results flow", [](pool& p) {
    for (int i = 0;; ++i) {
      p.map(twice, std::vector<int>(1000, 1));
      if (i == 10) shared[told] = 1;
    }
  });
}

TEST_P(failure_parent, KilledInTheMiddleOfTerminate) {
  expect_nothing_left("terminating", [](pool& p) {
    auto r = p.map_async({.chunksize = 1}, for_ever, std::vector<int>(10, 1));
    await(busy, 2);
    for (pid_t each : the_workers()) ::kill(each, SIGSTOP);
    shared[told] = 1;
    p.terminate();
    ::kill(::getpid(), SIGKILL);
  });
}

TEST_P(failure_parent, KilledWhileItWaitsInJoin) {
  expect_nothing_left("joining", [](pool& p) {
    auto r = p.map_async({.chunksize = 1}, for_ever, std::vector<int>(10, 1));
    await(busy, 2);
    p.close();
    shared[told] = 1;
    p.join();
  });
}

// Forked from a thread that has ended since: nothing may watch that thread instead of the process.
TEST_P(failure_parent, ThePoolOutlivesTheThreadThatMadeIt) {
  std::unique_ptr<pool> p;
  std::thread([&] { p = std::make_unique<pool>(of(2)); }).join();
  for (int i = 0; i < 20; ++i) EXPECT_EQ(p->map(twice, std::vector<int>(10, i)).back(), 2 * i);
}

// ---- the zygote ---------------------------------------------------------------------------------

TEST_P(failure_parent, AKilledZygoteBreaksThePool) {
  {
    pool p(of(2));
    auto running = p.apply_async(for_ever, 1);
    auto many = p.map_async({.chunksize = 1}, for_ever, std::vector<int>(10, 1));
    await(busy, 2);
    auto stream = p.imap(twice, std::vector<int>(10, 1));
    ::kill(the_zygote(), SIGKILL);
    EXPECT_THROW(running.get(seconds(30)), pool_broken);
    EXPECT_THROW(many.get(seconds(30)), pool_broken);
    EXPECT_THROW(static_cast<void>(stream.next(seconds(30))), pool_broken);
    EXPECT_THROW(p.apply(twice, 1), pool_broken);
    EXPECT_THROW(static_cast<void>(p.apply_async(twice, 1)), pool_broken);
    EXPECT_THROW(p.map(twice, std::vector<int>{1}), pool_broken);
    EXPECT_NE(p.to_string().find("broken"), std::string::npos);
  }
  reap_orphans();
}

TEST_P(failure_parent, AZygoteKilledWhileThePoolIsIdleBreaksTheNextCall) {
  {
    pool p(of(2));
    EXPECT_EQ(p.apply(twice, 2), 4);
    ::kill(the_zygote(), SIGKILL);
    EXPECT_TRUE(eventually([&] { return p.to_string().find("broken") != std::string::npos; }));
    const auto e = thrown_by<pool_broken>([&] { return p.apply(twice, 1); });
    EXPECT_NE(std::string(e.what()).find("zygote"), std::string::npos);
    p.terminate();
    p.join();
  }
  reap_orphans();
}

TEST_P(failure_parent, AZygoteKilledDuringAMapFailsWhatHadNotEnded) {
  for (int round = 0; round < 10; ++round) {
    {
      pool p(of(2));
      auto r = p.map_async({.chunksize = 10}, twice, std::vector<int>(5000, 3));
      ::kill(the_zygote(), SIGKILL);
      try {
        EXPECT_EQ(r.get(seconds(30)), std::vector<int>(5000, 6));
      } catch (const pool_broken&) {
      }
    }
    reap_orphans();
  }
}

TEST_P(failure_parent, AZygoteKilledWhileThePoolCloses) {
  for (int round = 0; round < 10; ++round) {
    {
      pool p(of(2));
      auto r = p.map_async({.chunksize = 10}, twice, std::vector<int>(1000, 3));
      const pid_t zygote = the_zygote();
      p.close();
      ::kill(zygote, SIGKILL);
      EXPECT_TRUE(p.join_for(seconds(30)));
      EXPECT_TRUE(r.ready());
    }
    reap_orphans();
  }
}

// ---- Ctrl-C -------------------------------------------------------------------------------------

// Complaint 16: Ctrl-C reaches every process of the group; the owner decides.
TEST_P(failure_parent, CtrlCIsTheOwnersAffair) {
  EXPECT_TRUE(in_a_child([] {
    ::setpgid(0, 0);
    struct sigaction count {};
    count.sa_handler = [](int) { ++shared[interrupts]; };
    count.sa_flags = SA_RESTART;
    ::sigaction(SIGINT, &count, nullptr);
    pool p(of(2));
    p.map({.chunksize = 1}, twice, std::vector<int>(10, 1));
    auto before = the_workers();
    auto r = p.map_async(
        {.chunksize = 1},
        [](int x) {
          ++shared[busy];
          await(told);
          return 2 * x;
        },
        std::vector<int>{1, 2, 3, 4});
    await(busy, 2);
    for (int i = 0; i < 5; ++i) ::kill(0, SIGINT);
    await(interrupts);
    shared[told] = 1;
    const bool right = r.get(seconds(30)) == std::vector<int>{2, 4, 6, 8};
    for (int i = 0; i < 5; ++i) ::kill(0, SIGINT);  // idle ones, too
    auto after = the_workers();
    std::sort(before.begin(), before.end());
    std::sort(after.begin(), after.end());
    return right && before == after && p.apply(twice, 1) == 2;
  }));
}

// A handler of the user's interrupts whatever call the waiting thread is in; it goes on waiting.
TEST_P(failure_parent, SignalsDoNotDisturbAWaitingThread) {
  struct sigaction count {};
  struct sigaction old {};
  count.sa_handler = [](int) { ++shared[interrupts]; };
  ::sigaction(SIGUSR1, &count, &old);
  pool p(of(1));
  auto r = p.apply_async(
      [](int x) {
        await(told);
        return x;
      },
      7);
  const pthread_t waiting = ::pthread_self();
  std::thread other([&] {
    for (int i = 1; i <= 20; ++i) {
      ::pthread_kill(waiting, SIGUSR1);
      await(interrupts, i);
    }
    shared[told] = 1;
  });
  EXPECT_EQ(r.get(), 7);
  other.join();
  ::sigaction(SIGUSR1, &old, nullptr);
}

}  // namespace
}  // namespace procpool
