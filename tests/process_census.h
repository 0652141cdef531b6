// SPDX-License-Identifier: MIT
// What this process has that a test may leave behind: descriptors, children, a signal mask.
#pragma once

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>

namespace procpool::testing {

inline std::set<std::string> open_descriptors() {
  std::set<std::string> all;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    std::error_code gone;
    const std::string target = std::filesystem::read_symlink(entry.path(), gone).string();
    // The iterator's own; and the tallies of instrumented builds, which stay once they are there.
    const bool ours = target.starts_with("/proc/") || target.starts_with("/memfd:PROCPOOL_");
    if (!gone && !ours) all.insert(entry.path().filename().string() + target);
  }
  return all;
}

/// No child is left, running or zombie.
inline bool has_no_child() { return ::waitpid(-1, nullptr, WNOHANG) == -1 && errno == ECHILD; }

/// Calls `done` until it is true; false after `bound`.
template <class Done>
bool eventually(Done done, std::chrono::milliseconds bound = std::chrono::seconds(10)) {
  const auto end = std::chrono::steady_clock::now() + bound;
  while (!done()) {
    if (std::chrono::steady_clock::now() > end) return false;
    ::usleep(200);
  }
  return true;
}

/// The letter of proc(5) for a process, or a thread of any: R, S, T, Z, …; X when there is none.
inline char state_of(pid_t pid) {
  std::ifstream stat("/proc/" + std::to_string(pid) + "/stat");
  std::string line;
  std::getline(stat, line);
  const auto name_end = line.rfind(')');
  return name_end == std::string::npos ? 'X' : line.at(name_end + 2);
}

/// Runs, or is stopped: neither gone nor a zombie.
inline bool is_alive(pid_t pid) { return state_of(pid) != 'Z' && state_of(pid) != 'X'; }

/// Every other thread of this process sleeps: none holds a lock that a forked copy would find
/// locked for ever (a sanitizer's allocator has some that fork() does not look after).
inline bool others_sleep() {
  for (const auto& thread : std::filesystem::directory_iterator("/proc/self/task")) {
    const pid_t id = std::stoi(thread.path().filename().string());
    if (id != ::gettid() && state_of(id) != 'S') return false;
  }
  return true;
}

/// Runs `body` in a forked process, true or false its outcome; false too when it does not end so.
template <class Body>
::testing::AssertionResult in_a_child(Body body) {
  eventually(others_sleep, std::chrono::milliseconds(100));  // some tests want threads that do not
  const pid_t pid = ::fork();
  if (pid == 0) {
    ::alarm(60);  // a hang ends it, and fails it
    bool good = false;
    try {
      good = body();
    } catch (const std::exception& e) {
      fprintf(stderr, "in the child: %s\n", e.what());
    }
    ::_exit(good ? 0 : 1);
  }
  int status = 0;
  if (::waitpid(pid, &status, 0) != pid) return ::testing::AssertionFailure() << "waitpid";
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure() << "the child ended with status " << status;
}

/// What must be when a test has ended as it was before.
class census {
 public:
  census() { ::pthread_sigmask(SIG_SETMASK, nullptr, &mask_); }

  [[nodiscard]] ::testing::AssertionResult unchanged() const {
    if (const auto now = open_descriptors(); now != descriptors_) {
      auto failure = ::testing::AssertionFailure() << "descriptors now:";
      for (const auto& each : now)
        if (!descriptors_.contains(each)) failure << " +" << each;
      for (const auto& each : descriptors_)
        if (!now.contains(each)) failure << " -" << each;
      return failure;
    }
    if (!has_no_child()) return ::testing::AssertionFailure() << "a child is left";
    sigset_t now;
    ::pthread_sigmask(SIG_SETMASK, nullptr, &now);
    for (int signal = 1; signal < NSIG; ++signal)
      if (sigismember(&now, signal) != sigismember(&mask_, signal))
        return ::testing::AssertionFailure() << "the mask of signal " << signal << " has changed";
    return ::testing::AssertionSuccess();
  }

 private:
  std::set<std::string> descriptors_ = open_descriptors();
  sigset_t mask_;
};

}  // namespace procpool::testing
