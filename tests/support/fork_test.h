// SPDX-License-Identifier: MIT
// The fixture of tests about workers that die: counters which this process shares with all its
// workers, a census when the test is over, and a watchdog, for what these tests would find is a
// hang.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <concepts>
#include <csignal>
#include <cstddef>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <numeric>
#include <string>
#include <string_view>
#include <vector>

#include "support/census.h"
#include "support/methods.h"

namespace procpool::testing {

using std::chrono::milliseconds;
using std::chrono::seconds;
using steady = std::chrono::steady_clock;

/// Memory that this process shares with all that it forks or that a pool executes for it.
inline void* shared_memory(std::size_t size) {
  constexpr const char* variable = "PROCPOOL_TEST_MEMORY";
  const char* told = std::getenv(variable);
  const int fd = told != nullptr ? ::open(told, O_RDWR | O_CLOEXEC)
                                 : ::memfd_create("what tests share", MFD_CLOEXEC);
  if (told == nullptr) {
    if (::ftruncate(fd, static_cast<off_t>(size)) != 0) std::abort();
    const std::string path = "/proc/" + std::to_string(::getpid()) + "/fd/" + std::to_string(fd);
    ::setenv(variable, path.c_str(), 1);
  }
  void* at = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (told != nullptr) ::close(fd);
  return at;
}

/// Zero when a test begins.
inline constexpr std::size_t shared_counters = 8192;
inline std::atomic<int>* const shared =
    static_cast<std::atomic<int>*>(shared_memory((shared_counters + 1) * sizeof(std::atomic<int>)));

/// The process that runs the tests, as each of its workers sees it.
inline const pid_t owner = [] {
  std::atomic<int>& noted = shared[shared_counters];
  int none = 0;
  noted.compare_exchange_strong(none, ::getpid());
  return noted.load();
}();

/// Spins politely until counter i is at least `least`.
inline void await(std::size_t i, int least = 1) {
  while (shared[i].load() < least) ::usleep(100);
}

/// from, from + 1, … n of them
inline std::vector<int> numbers(int from, int n) {
  std::vector<int> all(static_cast<std::size_t>(n));
  std::iota(all.begin(), all.end(), from);
  return all;
}

/// The process's children, zombies too, as the kernel lists them.
inline std::vector<pid_t> children_of(pid_t pid) {
  std::ifstream list("/proc/" + std::to_string(pid) + "/task/" + std::to_string(pid) + "/children");
  std::vector<pid_t> all;
  for (pid_t child; list >> child;) all.push_back(child);
  return all;
}

/// The only pool's zygote, which is this process's only child. A child forked by another thread
/// than the main one would not be listed; tests make their pools on the main one.
inline pid_t the_zygote() {
  const auto all = children_of(::getpid());
  return all.size() == 1 ? all.front() : -1;
}
inline std::vector<pid_t> the_workers() { return children_of(the_zygote()); }

/// What f() throws, as the E it must be.
template <class E, std::invocable F>
E thrown_by(F&& f) {
  try {
    static_cast<void>(f());
  } catch (const E& e) {
    return e;
  } catch (const std::exception& e) {
    throw std::runtime_error(std::string("another exception came: ") + e.what());
  }
  throw std::runtime_error("nothing was thrown");
}

template <class E>
E thrown_by(const std::exception_ptr& error) {
  return thrown_by<E>([&] {
    if (error) std::rethrow_exception(error);
    return 0;
  });
}

/// Orphans of a zygote that was killed fall to us (support/census.h).
inline void reap_orphans() {
  eventually([] {
    while (::waitpid(-1, nullptr, WNOHANG) > 0) {
    }
    return has_no_child();
  });
}

/// See also process_test.
class fork_test : public ::testing::Test {
 protected:
  fork_test() {
    for (std::size_t i = 0; i < shared_counters; ++i) shared[i] = 0;
    ::signal(SIGALRM, [](int) {
      for (std::string_view words :
           {std::string_view("hangs: "), std::string_view(trying_.data()), std::string_view("\n")})
        static_cast<void>(!::write(STDERR_FILENO, words.data(), words.size()));
      ::_exit(3);
    });
    now_trying("", seconds(90));
  }
  ~fork_test() override {
    ::alarm(0);
    ::signal(SIGALRM, SIG_DFL);
  }
  /// What the watchdog names when it is not over in time.
  static void now_trying(const std::string& what, std::chrono::seconds bound = seconds(30)) {
    trying_.fill('\0');
    what.copy(trying_.data(), trying_.size() - 1);
    ::alarm(static_cast<unsigned>(bound.count()));
  }
  void TearDown() override { EXPECT_TRUE(census_.unchanged()); }

 private:
  static inline std::array<char, 200> trying_{};
  pool_census census_;
};

/// The same over every start method that makes processes: PROCPOOL_PROCESS_METHODS(suite).
class process_test : public fork_test, public ::testing::WithParamInterface<start_method> {
 protected:
  /// Options of a pool of so many workers.
  static pool_options of(int processes) {
    return {.processes = processes, .start_method = GetParam()};
  }
};

}  // namespace procpool::testing
