// SPDX-License-Identifier: MIT
// The zygote from its owner's side: what is asked happens, what happens is reported, nothing stays.
#include "process/zygote_client.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <link.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <map>
#include <set>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "process_census.h"

#if defined(__SANITIZE_ADDRESS__)
#define PROCPOOL_TEST_UNDER_ASAN
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define PROCPOOL_TEST_UNDER_ASAN
#endif
#endif

namespace procpool::process {
namespace {

using namespace std::chrono_literals;
using procpool::testing::census;
using procpool::testing::eventually;
using procpool::testing::in_a_child;
using procpool::testing::is_alive;
using procpool::testing::state_of;

// Memory that forked processes share.
template <class T>
class shared {
 public:
  shared()
      : at_(new (::mmap(nullptr, sizeof(T), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
                        0)) T{}) {}
  shared(const shared&) = delete;
  shared& operator=(const shared&) = delete;
  ~shared() { ::munmap(at_, sizeof(T)); }
  T* operator->() const { return at_; }
  T& operator*() const { return *at_; }

 private:
  T* at_;
};

report next(zygote_client& client, std::chrono::milliseconds bound = 10s) {
  std::optional<report> r;
  if (!eventually([&] { return (r = client.read()).has_value(); }, bound))
    throw std::runtime_error("no report came");
  return *r;
}

pid_t launch(zygote_client& client, std::uint32_t worker, std::uint32_t generation = 0) {
  if (!client.request_launch(worker, generation)) throw std::runtime_error("the socket is full");
  const report r = next(client);
  if (r.kind != report_kind::launched || r.worker != worker || r.generation != generation)
    throw std::runtime_error("not launched");
  return r.pid;
}

void sleep_for_ever(std::uint32_t, std::uint32_t, gifts) {
  for (;;) ::pause();
}

void ignore_sigterm(std::uint32_t, std::uint32_t, gifts) {
  ::signal(SIGTERM, SIG_IGN);
  for (;;) ::pause();
}

class ZygoteTest : public ::testing::Test {
 protected:
  void TearDown() override { EXPECT_TRUE(before_.unchanged()); }
  census before_;
};

// ---- what became of a worker --------------------------------------------------------------------

int end_of_worker(const child_function& child) {
  zygote_client client(child);
  const pid_t pid = launch(client, 5, 9);
  const report r = next(client);
  EXPECT_EQ(r.kind, report_kind::ended);
  EXPECT_EQ(r.worker, 5u);
  EXPECT_EQ(r.generation, 9u);
  EXPECT_EQ(r.pid, pid);
  EXPECT_NE(pid, client.pid());
  return r.value;
}

TEST_F(ZygoteTest, WorkerIsAskedForByPlaceAndGeneration) {
  EXPECT_EQ(end_of_worker([](std::uint32_t worker, std::uint32_t generation, gifts) {
              ::_exit(static_cast<int>(10 * worker + generation));
            }),
            59 << 8);
}

TEST_F(ZygoteTest, ReturningEndsAWorkerWithStatusZero) {
  EXPECT_EQ(end_of_worker([](auto, auto, auto) {}), 0);
}

TEST_F(ZygoteTest, ExceptionOutOfAWorkerGoesNoFurther) {
  EXPECT_EQ(
      end_of_worker([](auto, auto, auto) { throw std::runtime_error("stays in the worker"); }),
      EXIT_FAILURE << 8);
}

TEST_F(ZygoteTest, PthreadExitOfAWorkerGoesNoFurther) {
  EXPECT_EQ(end_of_worker([](auto, auto, auto) { ::pthread_exit(nullptr); }), EXIT_FAILURE << 8);
}

TEST_F(ZygoteTest, DeathBySignalIsReportedAsOne) {
  const int status = end_of_worker([](auto, auto, auto) { ::raise(SIGKILL); });
  ASSERT_TRUE(WIFSIGNALED(status));
  EXPECT_EQ(WTERMSIG(status), SIGKILL);
}

TEST_F(ZygoteTest, TwoHundredWorkersAreLaunchedAndReported) {
  zygote_client client([](std::uint32_t worker, auto, auto) { ::_exit(static_cast<int>(worker)); });
  constexpr std::uint32_t count = 200;
  std::map<std::uint32_t, pid_t> launched;
  std::set<std::uint32_t> ended;
  std::uint32_t asked = 0;
  while (ended.size() < count) {
    while (asked < count && client.request_launch(asked, 1)) ++asked;
    const report r = next(client);
    if (r.kind == report_kind::launched) {
      EXPECT_TRUE(launched.emplace(r.worker, r.pid).second);
    } else {
      ASSERT_EQ(r.kind, report_kind::ended);
      EXPECT_EQ(launched.at(r.worker), r.pid) << "ended comes after its launched";
      EXPECT_EQ(r.value, static_cast<int>(r.worker) << 8);
      EXPECT_TRUE(ended.insert(r.worker).second);
    }
  }
  EXPECT_EQ(client.read(), std::nullopt);
}

// ---- ending workers -----------------------------------------------------------------------------

TEST_F(ZygoteTest, StubbornAndStoppedWorkersCanBeKilled) {
  zygote_client client(ignore_sigterm);
  const pid_t stubborn = launch(client, 0);
  const pid_t stopped = launch(client, 1);
  ASSERT_TRUE(client.request_kill(1, 0, SIGSTOP));
  EXPECT_EQ(next(client).kind, report_kind::signalled);
  ASSERT_TRUE(eventually([&] { return state_of(stopped) == 'T'; }));
  ASSERT_TRUE(client.request_kill(0, 0, SIGKILL));
  EXPECT_EQ(next(client).pid, stubborn);
  ASSERT_TRUE(client.request_kill(1, 0, SIGKILL));
  const report r = next(client);
  EXPECT_EQ(r.pid, stopped);
  EXPECT_EQ(r.value, SIGKILL);
}

TEST_F(ZygoteTest, KillOfAnEarlierGenerationHitsNobody) {
  zygote_client client(sleep_for_ever);
  launch(client, 3, 7);
  ASSERT_TRUE(client.request_kill(3, 6, SIGKILL));
  ASSERT_TRUE(client.request_kill(2, 7, SIGKILL));
  ASSERT_TRUE(client.request_kill(3, 7, SIGTERM));
  const report r = next(client);
  EXPECT_EQ(r.kind, report_kind::signalled);
  EXPECT_EQ(r.worker, 3u);
  EXPECT_EQ(r.generation, 7u);
  EXPECT_EQ(next(client).value, SIGTERM);
}

TEST_F(ZygoteTest, StopKillsReportsAndLeaves) {
  zygote_client client(ignore_sigterm);
  const std::set<pid_t> workers{launch(client, 0), launch(client, 1), launch(client, 2)};
  ASSERT_TRUE(client.request_stop());
  ASSERT_TRUE(client.reap(clock::now() + 10s));
  EXPECT_TRUE(client.dead());
  std::set<pid_t> ended;
  while (const std::optional<report> r = client.read()) {
    EXPECT_EQ(r->kind, report_kind::ended);
    EXPECT_EQ(r->value, SIGKILL);
    ended.insert(r->pid);
  }
  EXPECT_EQ(ended, workers);
}

TEST_F(ZygoteTest, RetiringItLeavesAfterItsLastWorker) {
  zygote_client client(sleep_for_ever);
  const pid_t workers[] = {launch(client, 0), launch(client, 1)};
  ASSERT_TRUE(client.request_retire());
  for (const std::uint32_t w : {0U, 1U}) {
    EXPECT_FALSE(client.dead()) << "a worker is left";
    ASSERT_TRUE(client.request_kill(w, 0, SIGKILL));
    const report r = next(client);
    EXPECT_EQ(r.kind, report_kind::ended);
    EXPECT_EQ(r.pid, workers[w]);
  }
  EXPECT_TRUE(client.reap(clock::now() + 10s));
}

TEST_F(ZygoteTest, RetiringWithoutAWorkerItLeavesAtOnce) {
  zygote_client client(sleep_for_ever);
  ASSERT_TRUE(client.request_retire());
  EXPECT_TRUE(client.reap(clock::now() + 10s));
  EXPECT_EQ(client.read(), std::nullopt);
}

TEST_F(ZygoteTest, WhatIsMadeMeanwhileIsMadeOnce) {
  int made = 0;
  zygote_client client([](auto, auto, auto) {}, [] {}, [&] { ++made; });
  EXPECT_EQ(made, 1);
  EXPECT_THROW(zygote_client([](auto, auto, auto) {}, [] {}, [] { throw std::bad_alloc(); }),
               std::bad_alloc);
}

TEST_F(ZygoteTest, ReportsAreReadableThoughItLeftRequestsUnread) {
  zygote_client client(sleep_for_ever);
  const pid_t worker = launch(client, 0);
  ASSERT_EQ(::kill(client.pid(), SIGSTOP), 0);
  ASSERT_TRUE(client.request_stop());
  ASSERT_TRUE(client.request_launch(1, 0));
  ASSERT_EQ(::kill(client.pid(), SIGCONT), 0);
  ASSERT_TRUE(client.reap(clock::now() + 10s));
  const std::optional<report> r = client.read();  // not the connection's reset
  ASSERT_TRUE(r.has_value());
  EXPECT_EQ(r->pid, worker);
  EXPECT_EQ(r->value, SIGKILL);
  EXPECT_EQ(client.read(), std::nullopt);
}

TEST_F(ZygoteTest, DeathOfTheZygoteTakesItsWorkersAlong) {
  zygote_client client(ignore_sigterm);
  const pid_t one = launch(client, 0);
  const pid_t two = launch(client, 1);
  EXPECT_FALSE(client.dead());
  EXPECT_FALSE(client.reap(clock::now() + 10ms));
  client.kill_now();
  EXPECT_TRUE(client.reap(clock::now() + 10s));
  EXPECT_TRUE(client.dead());
  EXPECT_TRUE(eventually([&] { return !is_alive(one) && !is_alive(two); }));
}

TEST_F(ZygoteTest, DestructorEndsAllThatRuns) {
  pid_t worker = 0;
  pid_t zygote = 0;
  {
    zygote_client client(ignore_sigterm);
    worker = launch(client, 0);
    zygote = client.pid();
    ASSERT_EQ(::kill(zygote, SIGSTOP), 0);
  }
  EXPECT_FALSE(is_alive(zygote));
  EXPECT_TRUE(eventually([&] { return !is_alive(worker); }));
}

TEST_F(ZygoteTest, SignalsThatReachTheWholeGroupLeaveTheZygoteAlone) {
  zygote_client client(sleep_for_ever);
  for (int signal : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGTSTP, SIGALRM, SIGPIPE})
    ASSERT_EQ(::kill(client.pid(), signal), 0);
  launch(client, 0);
  EXPECT_FALSE(client.dead());
}

TEST_F(ZygoteTest, CopyOfTheOwnerEndsNothing) {
  zygote_client client(sleep_for_ever);
  EXPECT_TRUE(in_a_child([&] {
    client.~zygote_client();
    return true;
  }));
  const pid_t worker = launch(client, 0);
  EXPECT_TRUE(in_a_child([&] {
    client.forget();
    return client.pid() == 0;
  }));
  EXPECT_FALSE(client.dead());
  EXPECT_TRUE(is_alive(worker));
}

// ---- what is done once for all workers ----------------------------------------------------------

TEST_F(ZygoteTest, WhatIsPreparedIsDoneOnceBeforeItIsReadyAndMeetsEachWorker) {
  shared<std::atomic<pid_t>> prepared_by;
  static int prepared = 0;
  zygote_client client([](auto, auto, auto) { ::_exit(prepared); },
                       [&] {
                         ++prepared;
                         *prepared_by = ::getpid();
                       });
  EXPECT_EQ(*prepared_by, client.pid());
  for (std::uint32_t generation = 0; generation < 3; ++generation) {
    launch(client, 0, generation);
    EXPECT_EQ(next(client).value, 1 << 8);
  }
  EXPECT_EQ(prepared, 0);
}

TEST_F(ZygoteTest, WhatCannotBePreparedKeepsItFromStarting) {
  try {
    zygote_client client([](auto, auto, auto) {},
                         [] { throw std::system_error(ENOSPC, std::system_category()); });
    FAIL() << "it has started";
  } catch (const std::system_error& e) {
    EXPECT_EQ(e.code().value(), ENOSPC);
  }
}

TEST_F(ZygoteTest, WorkerIsNotStoppedForReadingOrWritingOnATerminal) {
  EXPECT_EQ(end_of_worker([](auto, auto, auto) {
              for (const int signal : {SIGTTIN, SIGTTOU}) {
                struct sigaction now {};
                if (::sigaction(signal, nullptr, &now) != 0 || now.sa_handler != SIG_IGN)
                  ::_exit(1);
              }
            }),
            0);
}

// ---- asking more than it can take ---------------------------------------------------------------

TEST_F(ZygoteTest, FullSocketDoesNotBlockAndLosesNothing) {
  zygote_client client([](auto, auto, auto) {});
  ASSERT_EQ(::kill(client.pid(), SIGSTOP), 0);
  ASSERT_TRUE(eventually([&] { return state_of(client.pid()) == 'T'; }));
  std::uint32_t asked = 0;
  while (client.request_launch(asked, 0)) ASSERT_LT(++asked, 100'000u);
  ASSERT_GT(asked, 16u);
  EXPECT_FALSE(client.request_stop());
  EXPECT_FALSE(client.request_kill(0, 0, SIGKILL));
  EXPECT_FALSE(client.dead());
  ASSERT_EQ(::kill(client.pid(), SIGCONT), 0);
  // More reports than its own socket holds: some wait in its queue until we read.
  std::uint32_t launched = 0;
  std::uint32_t ended = 0;
  while (ended < asked) {
    const report r = next(client);
    ASSERT_TRUE(r.kind == report_kind::launched || r.kind == report_kind::ended);
    ++(r.kind == report_kind::launched ? launched : ended);
  }
  EXPECT_EQ(launched, asked);
}

TEST_F(ZygoteTest, ReportsThatNobodyReadsWaitAndStillLeaveItAnswering) {
  shared<std::atomic<std::uint32_t>> ran;
  zygote_client client([&](auto, auto, auto) { ++*ran; });
  std::uint32_t asked = 0;
  // Enough for both directions' buffers: nothing is read until all of these have run.
  for (; asked < 1500; ++asked)
    ASSERT_TRUE(eventually([&] { return client.request_launch(asked, 0); }));
  ASSERT_TRUE(eventually([&] { return ran->load() == asked; }, 60s));
  std::uint32_t ended = 0;
  while (ended < asked) ended += next(client).kind == report_kind::ended;
  EXPECT_EQ(client.read(), std::nullopt);
}

// ---- the process it is made in ------------------------------------------------------------------

TEST_F(ZygoteTest, OwnerThatIgnoresSigchldHearsStatusesAllTheSame) {
  struct sigaction ignore {};
  ignore.sa_handler = SIG_IGN;
  struct sigaction before {};
  ASSERT_EQ(::sigaction(SIGCHLD, &ignore, &before), 0);
  EXPECT_EQ(end_of_worker([](auto, auto, auto) { ::_exit(3); }), 3 << 8);
  struct sigaction after {};
  ASSERT_EQ(::sigaction(SIGCHLD, &before, &after), 0);
  EXPECT_EQ(after.sa_handler, SIG_IGN) << "the user's disposition is the user's";
}

TEST_F(ZygoteTest, OwnerThatReapsEverythingItselfHarmsNothing) {
  zygote_client client(sleep_for_ever);
  client.kill_now();
  ASSERT_EQ(::waitpid(-1, nullptr, 0), client.pid());
  EXPECT_TRUE(client.dead());
  EXPECT_TRUE(client.reap(clock::now() + 10s));
}

TEST_F(ZygoteTest, BlockedSignalsOfTheOwnerStayBlockedAndReachNoWorker) {
  struct seen {
    std::atomic<bool> done;
    bool mask_empty;
    bool handler_reset;
    bool ignored_kept;
    bool sigint_ignored;
    bool sigchld_default;
  };
  shared<seen> worker;
  sigset_t block;
  sigset_t before;
  sigemptyset(&block);
  sigaddset(&block, SIGUSR2);
  ASSERT_EQ(::pthread_sigmask(SIG_BLOCK, &block, &before), 0);
  auto* old_usr1 = ::signal(SIGUSR1, [](int) {});
  auto* old_hup = ::signal(SIGHUP, SIG_IGN);
  {
    zygote_client client([&](auto, auto, auto) {
      sigset_t mask;
      ::pthread_sigmask(SIG_SETMASK, nullptr, &mask);
      worker->mask_empty = sigisemptyset(&mask);
      auto of = [](int signal) {
        struct sigaction action {};
        ::sigaction(signal, nullptr, &action);
        return action.sa_handler;
      };
      worker->handler_reset = of(SIGUSR1) == SIG_DFL;
      worker->ignored_kept = of(SIGHUP) == SIG_IGN;
      worker->sigint_ignored = of(SIGINT) == SIG_IGN;
      worker->sigchld_default = of(SIGCHLD) == SIG_DFL;
      worker->done = true;
    });
    launch(client, 0);
    next(client);
    sigset_t now;
    ::pthread_sigmask(SIG_SETMASK, nullptr, &now);
    EXPECT_TRUE(sigismember(&now, SIGUSR2));
    EXPECT_FALSE(sigismember(&now, SIGTERM));
  }
  EXPECT_NE(::signal(SIGUSR1, old_usr1), SIG_DFL) << "the owner keeps its handlers";
  ::signal(SIGHUP, old_hup);
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  ASSERT_TRUE(worker->done);
  EXPECT_TRUE(worker->mask_empty);
  EXPECT_TRUE(worker->handler_reset);
  EXPECT_TRUE(worker->ignored_kept);
  EXPECT_TRUE(worker->sigint_ignored);
  EXPECT_TRUE(worker->sigchld_default);
}

TEST_F(ZygoteTest, WorkersHaveNoneOfItsDescriptors) {
  shared<std::atomic<int>> extra;
  const int before = static_cast<int>(procpool::testing::open_descriptors().size());
  zygote_client client([&](auto, auto, auto) {
    *extra = static_cast<int>(procpool::testing::open_descriptors().size()) - before;
  });
  *extra = -1;
  launch(client, 0);
  next(client);
  EXPECT_EQ(*extra, 0);
}

TEST_F(ZygoteTest, ThreadsThatAllocateDoNotBreakTheCopies) {
#ifdef PROCPOOL_TEST_UNDER_ASAN
  GTEST_SKIP() << "the sanitizer's malloc, unlike glibc's, is not usable after such a fork";
#endif
  std::vector<std::jthread> threads;
  for (int k = 0; k < 4; ++k)
    threads.emplace_back([](const std::stop_token& over) {
      while (!over.stop_requested()) std::vector<std::string> v(50, std::string(100, 'x'));
    });
  for (int k = 0; k < 50; ++k)
    EXPECT_EQ(end_of_worker([](auto, auto, auto) {
                std::vector<std::string> v(100, std::string(200, 'x'));
                ::_exit(v.size() == 100 ? 4 : 5);
              }),
              4 << 8);
}

// fork() leaves the lock of dl_iterate_phdr as it was, held by a thread that the copy does not
// have.
TEST_F(ZygoteTest, ThreadsInsideTheLoaderDoNotBreakTheCopies) {
  const std::jthread thread([](const std::stop_token& over) {
    while (!over.stop_requested()) {
      ::dl_iterate_phdr(
          [](dl_phdr_info*, std::size_t, void*) {
            std::this_thread::sleep_for(100us);
            return 1;
          },
          nullptr);
      std::this_thread::sleep_for(500us);
    }
  });
  for (int k = 0; k < 20; ++k)
    EXPECT_EQ(end_of_worker([](auto, auto, auto) {
                ::alarm(20);
                ::dl_iterate_phdr([](dl_phdr_info*, std::size_t, void*) { return 1; }, nullptr);
                ::_exit(::dlopen("libc.so.6", RTLD_NOW) != nullptr ? 6 : 7);
              }),
              6 << 8);
}

// ---- text not yet written -----------------------------------------------------------------------

TEST_F(ZygoteTest, TextIsPrintedOnce) {
  std::string path = ::testing::TempDir() + "/zygote_text_XXXXXX";
  const int file = ::mkstemp(path.data());
  ASSERT_GE(file, 0);
  EXPECT_TRUE(in_a_child([&] {
    ::dup2(file, STDOUT_FILENO);
    std::ios::sync_with_stdio(false);
    std::printf("owner by C;");
    std::cout << "owner by C++;";
    zygote_client client([](auto, auto, auto) {
      std::printf("worker by C;");
      std::cout << "worker by C++;";
    });
    launch(client, 0);
    next(client);
    launch(client, 0, 1);
    next(client);
    return true;
  }));
  ::close(file);
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  ::unlink(path.c_str());
  EXPECT_EQ(text.str(),
            "owner by C++;owner by C;"
            "worker by C++;worker by C;worker by C++;worker by C;");
}

TEST_F(ZygoteTest, ThreadThatReadsStandardInputDoesNotHoldItUp) {
  EXPECT_TRUE(in_a_child([] {
    ::alarm(20);
    int silence[2];
    if (::pipe(silence) != 0 || ::dup2(silence[0], STDIN_FILENO) != STDIN_FILENO) return false;
    std::thread([] { std::getchar(); }).detach();
    const bool sits_there = eventually([] {
      if (::ftrylockfile(stdin) != 0) return true;
      ::funlockfile(stdin);
      return false;
    });
    if (!sits_there) return false;
    zygote_client client([](auto, auto, auto) {});
    launch(client, 0);
    return next(client).value == 0;
  }));
}

// ---- the owner's death --------------------------------------------------------------------------

TEST_F(ZygoteTest, NothingOutlivesAnOwnerKilledAtAnyMoment) {
  struct pids {
    std::atomic<pid_t> zygote;
    std::atomic<pid_t> workers[4];
    std::atomic<pid_t> bystander;
    std::atomic<bool> ready;
  };
  shared<pids> all;
  const pid_t owner = ::fork();
  if (owner == 0) {
    ::alarm(60);
    zygote_client client(ignore_sigterm);
    all->zygote = client.pid();
    for (std::uint32_t k = 0; k < 4; ++k) all->workers[k] = launch(client, k);
    // Holds a copy of the owner's end of the socket, so that its closing is seen by nobody.
    if (const pid_t pid = ::fork(); pid != 0) {
      all->bystander = pid;
    } else {
      for (;;) ::pause();
    }
    client.request_kill(3, 0, SIGSTOP);
    if (!eventually([&] { return state_of(all->workers[3]) == 'T'; })) ::_exit(1);
    all->ready = true;
    for (;;) ::pause();
  }
  ASSERT_TRUE(eventually([&] { return all->ready.load(); }, 30s));
  const auto killed = clock::now();
  ASSERT_EQ(::kill(owner, SIGKILL), 0);
  EXPECT_TRUE(eventually(
      [&] {
        bool left = is_alive(all->zygote);
        for (auto& each : all->workers) left = left || is_alive(each);
        return !left;
      },
      2s));
  const auto took = std::chrono::duration<double, std::milli>(clock::now() - killed).count();
  std::printf("    owner killed; zygote and 4 workers gone after %.2f ms\n", took);
  RecordProperty("milliseconds", std::to_string(took));
  ::kill(all->bystander, SIGKILL);
  ::waitpid(owner, nullptr, 0);
}

TEST_F(ZygoteTest, NothingOutlivesAnOwnerKilledWhileLaunching) {
  ASSERT_EQ(::prctl(PR_SET_CHILD_SUBREAPER, 1), 0);  // what is orphaned becomes ours, to be counted
  for (int round = 0; round < 30; ++round) {
    shared<std::atomic<std::uint32_t>> launched;
    const pid_t owner = ::fork();
    if (owner == 0) {
      ::alarm(60);
      zygote_client client(ignore_sigterm);
      for (std::uint32_t k = 0; k < 60; ++k) {
        client.request_launch(k, 0);
        ++*launched;
        client.read();
      }
      for (;;) ::pause();
    }
    ASSERT_TRUE(eventually([&] { return *launched > static_cast<std::uint32_t>(2 * round); }));
    ASSERT_EQ(::kill(owner, SIGKILL), 0);
    EXPECT_TRUE(eventually(
        [] {
          while (::waitpid(-1, nullptr, WNOHANG) > 0) {
          }
          return procpool::testing::has_no_child();
        },
        5s));
  }
  ASSERT_EQ(::prctl(PR_SET_CHILD_SUBREAPER, 0), 0);
}

// ---- messages -----------------------------------------------------------------------------------

TEST_F(ZygoteTest, WordsThatNoOwnerSaysEndIt) {
  const request good{request_kind::launch, 0, 0, 0};
  const request bad_kind{static_cast<request_kind>(9), 0, 0, 0};
  const request bad_signal{request_kind::kill, 0, 0, 4711};
  const std::string too_long(sizeof(request) + 1, '\1');
  struct {
    const void* at;
    std::size_t size;
  } const cases[] = {{&good, sizeof good - 1},
                     {&bad_kind, sizeof bad_kind},
                     {&bad_signal, sizeof bad_signal},
                     {too_long.data(), too_long.size()}};
  for (const auto& each : cases) {
    zygote_client client(sleep_for_ever);
    ASSERT_EQ(::send(client.socket(), each.at, each.size, 0), static_cast<ssize_t>(each.size));
    EXPECT_TRUE(client.reap(clock::now() + 10s));
    EXPECT_TRUE(client.dead());
    EXPECT_FALSE(client.request_launch(0, 0));
  }
}

}  // namespace
}  // namespace procpool::process
