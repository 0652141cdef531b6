// SPDX-License-Identifier: MIT
// The wrappers' own promises: what is restarted, what is thrown, what closes what.
#include "base/sys.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/time.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <climits>
#include <span>
#include <system_error>
#include <thread>
#include <utility>

#include "base/fd.h"
#include "base/futex.h"
#include "process_census.h"

namespace procpool {
namespace {

using namespace std::chrono_literals;
using procpool::testing::eventually;
using procpool::testing::in_a_child;
using procpool::testing::state_of;

// While it lives, `signal` has a handler that does not restart system calls.
class interrupting {
 public:
  explicit interrupting(int signal) : signal_(signal) {
    struct ::sigaction action {};
    action.sa_handler = [](int) { ++caught; };
    ::sigaction(signal, &action, &before_);
    caught = 0;
  }
  interrupting(const interrupting&) = delete;
  interrupting& operator=(const interrupting&) = delete;
  ~interrupting() { ::sigaction(signal_, &before_, nullptr); }

  static inline std::atomic<int> caught{0};

 private:
  int signal_;
  struct ::sigaction before_;
};

// Runs `call` in a thread that is interrupted three times; then `release`.
template <class Call, class Release>
void interrupt_three_times(Call call, Release release) {
  interrupting handler(SIGUSR1);
  std::atomic<bool> done{false};
  std::atomic<pid_t> tid{0};
  std::thread thread([&] {
    tid = ::gettid();
    call();
    done = true;
  });
  for (int k = 1; k <= 3; ++k) {
    EXPECT_TRUE(eventually([&] { return tid != 0 && state_of(tid) == 'S'; }));
    ::pthread_kill(thread.native_handle(), SIGUSR1);
    EXPECT_TRUE(eventually([&] { return interrupting::caught >= k; }));
  }
  EXPECT_FALSE(done);
  release();
  thread.join();
}

TEST(SysTest, CheckPassesGoodResultsThrough) {
  EXPECT_EQ(sys::check(7, "seven"), 7);
  int x = 0;
  EXPECT_EQ(sys::check(&x, "a place"), &x);
}

TEST(SysTest, CheckThrowsErrnoAndSaysWhat) {
  try {
    sys::check(sys::open("/there/is/no/such/file", O_RDONLY), "open of the file");
    FAIL();
  } catch (const std::system_error& e) {
    EXPECT_EQ(e.code(), std::error_code(ENOENT, std::system_category()));
    EXPECT_EQ(std::string(e.what()).find("procpool: open of the file: "), 0u) << e.what();
  }
  EXPECT_THROW(sys::check(sys::mmap(nullptr, 0, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), ""),
               std::system_error);
}

TEST(SysTest, ReadIsRestartedAfterASignal) {
  int ends[2];
  ASSERT_EQ(sys::socketpair(ends), 0);
  base::fd a(ends[0]);
  base::fd b(ends[1]);
  char got = 0;
  interrupt_three_times([&] { EXPECT_EQ(sys::recv(a.get(), &got, 1, 0), 1); },
                        [&] { EXPECT_EQ(sys::send(b.get(), "x", 1, 0), 1); });
  EXPECT_EQ(got, 'x');
}

TEST(SysTest, WaitpidIsRestartedAfterASignal) {
  const pid_t child = sys::fork();
  if (child == 0)
    for (;;) ::pause();
  int status = 0;
  interrupt_three_times([&] { EXPECT_EQ(sys::waitpid(child, &status, 0), child); },
                        [&] { EXPECT_EQ(sys::kill(child, SIGKILL), 0); });
  EXPECT_EQ(status, SIGKILL);
}

TEST(SysTest, EndlessPollIsRestartedAfterASignalAndATimedOneIsNot) {
  base::fd bell(sys::check(sys::eventfd(0, EFD_CLOEXEC), "eventfd"));
  interrupt_three_times(
      [&] {
        pollfd p{bell.get(), POLLIN, 0};
        EXPECT_EQ(sys::ppoll(&p, 1, nullptr), 1);
      },
      [&] {
        const std::uint64_t one = 1;
        EXPECT_EQ(sys::write(bell.get(), &one, sizeof one), ssize_t{sizeof one});
      });

  interrupting handler(SIGALRM);
  pollfd p{-1, 0, 0};
  const timespec hour{3600, 0};
  itimerval soon{{0, 1000}, {0, 1000}};  // again and again: one may fire before the wait begins
  ::setitimer(ITIMER_REAL, &soon, nullptr);
  EXPECT_EQ(sys::ppoll(&p, 1, &hour), -1);
  EXPECT_EQ(errno, EINTR);
  soon = {};
  ::setitimer(ITIMER_REAL, &soon, nullptr);
}

TEST(SysTest, EpollWaitKeepsShortTimeoutsAndSeesEvents) {
  base::fd bell(sys::check(sys::eventfd(0, EFD_CLOEXEC), "eventfd"));
  base::fd epoll(sys::check(sys::epoll_create(), "epoll_create"));
  epoll_event wanted{};
  wanted.events = EPOLLIN;
  wanted.data.u64 = 42;
  ASSERT_EQ(sys::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, bell.get(), &wanted), 0);
  epoll_event seen[4];
  const timespec soon{0, 2'000'000};
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_EQ(sys::epoll_wait(epoll.get(), seen, 4, &soon), 0);
  EXPECT_GE(std::chrono::steady_clock::now() - begin, 2ms);
  const std::uint64_t one = 1;
  ASSERT_EQ(sys::write(bell.get(), &one, sizeof one), ssize_t{sizeof one});
  EXPECT_EQ(sys::epoll_wait(epoll.get(), seen, 4, nullptr), 1);
  EXPECT_EQ(seen[0].data.u64, 42u);
}

TEST(SysTest, SendToNobodyRaisesNoSignal) {
  int ends[2];
  ASSERT_EQ(sys::socketpair(ends), 0);
  base::fd a(ends[0]);
  sys::close(ends[1]);
  EXPECT_EQ(sys::send(a.get(), "x", 1, 0), -1);
  EXPECT_EQ(errno, EPIPE);
}

TEST(SysTest, DescriptorsGoAlongAndNoMoreAreTakenThanThereIsPlaceFor) {
  int ends[2];
  ASSERT_EQ(sys::socketpair(ends), 0);
  base::fd a(ends[0]);
  base::fd b(ends[1]);
  const auto before = procpool::testing::open_descriptors().size();
  for (const std::size_t places : {2U, 1U, 0U}) {
    char got = 0;
    ASSERT_EQ(sys::send(a.get(), "x", 1, 0, ends), 1);
    std::array<int, 2> along{};
    EXPECT_EQ(sys::recv(b.get(), &got, 1, 0, std::span(along).first(places)), 1);
    EXPECT_EQ(procpool::testing::open_descriptors().size(), before + places);
    for (std::size_t i = 0; i < places; ++i) {
      const base::fd arrived(along.at(i));
      EXPECT_EQ(::fcntl(arrived.get(), F_GETFD), FD_CLOEXEC);
    }
  }
  std::array<int, 2> along{5, 5};
  char got = 0;
  ASSERT_EQ(sys::send(a.get(), "x", 1, 0, {ends, 1}), 1);
  EXPECT_EQ(sys::recv(b.get(), &got, 1, 0, along), 1);
  EXPECT_NE(base::fd(along[0]).get(), -1);
  EXPECT_EQ(along[1], -1);
}

TEST(SysTest, SigmaskReportsByErrno) {
  sigset_t set;
  sigemptyset(&set);
  EXPECT_EQ(sys::thread_sigmask(4711, &set, nullptr), -1);
  EXPECT_EQ(errno, EINVAL);
}

// ---- fd -----------------------------------------------------------------------------------------

bool is_open(int number) { return ::fcntl(number, F_GETFD) != -1; }

TEST(FdTest, ClosesWhatItOwnsOnce) {
  int number;
  {
    base::fd a(sys::open("/dev/null", O_RDONLY | O_CLOEXEC));
    ASSERT_TRUE(a);
    number = a.get();
    base::fd b(std::move(a));
    EXPECT_FALSE(a);  // NOLINT(bugprone-use-after-move): what is left is the promise
    EXPECT_EQ(b.get(), number);
    base::fd& same = b;
    b = std::move(same);
    EXPECT_TRUE(is_open(number));
  }
  EXPECT_FALSE(is_open(number));
}

TEST(FdTest, ReleaseGivesItAway) {
  base::fd a(sys::open("/dev/null", O_RDONLY | O_CLOEXEC));
  base::fd b(sys::dup_cloexec(a.get()));
  const int number = a.release();
  a.reset();
  EXPECT_TRUE(is_open(number));
  b.reset(number);
  EXPECT_EQ(b.get(), number);
}

TEST(FdTest, ClosingLeavesErrnoAlone) {
  {
    base::fd a(987'654);  // not open: close fails
    errno = ENOSPC;
  }
  EXPECT_EQ(errno, ENOSPC);
}

// ---- futex --------------------------------------------------------------------------------------

TEST(FutexTest, ReturnsAtOnceWhenTheWordHasChanged) {
  std::atomic<std::uint32_t> word{1};
  EXPECT_TRUE(base::futex::wait(word, 0));
}

TEST(FutexTest, SaysFalseAtTheDeadlineAndNotBefore) {
  std::atomic<std::uint32_t> word{0};
  timespec deadline;
  ::clock_gettime(CLOCK_MONOTONIC, &deadline);
  deadline.tv_nsec += 20'000'000;
  if (deadline.tv_nsec >= 1'000'000'000) deadline.tv_nsec -= 1'000'000'000, ++deadline.tv_sec;
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_FALSE(base::futex::wait(word, 0, &deadline));
  EXPECT_GE(std::chrono::steady_clock::now() - begin, 15ms);
}

TEST(FutexTest, WakesAnotherProcess) {
  void* page = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  auto* words = new (page) std::atomic<std::uint32_t>[2] {};
  std::thread waker([&] {
    EXPECT_TRUE(eventually([&] { return base::futex::wake(words[0], 1) == 1; }));
    words[1] = 1;
  });
  EXPECT_TRUE(in_a_child([&] { return base::futex::wait(words[0], 0); }));
  waker.join();
  EXPECT_EQ(words[1], 1u);
  ::munmap(page, 4096);
}

}  // namespace
}  // namespace procpool
