// SPDX-License-Identifier: MIT
// The last words of a program that does not catch what its task threw: what it was, and where.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <regex>
#include <string>

namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool sanitized = true;
#else
constexpr bool sanitized = false;
#endif

/// What tests/children/uncaught.cc wrote to its standard error before it was aborted.
std::string last_words(const char* way) {
  const std::string program =
      std::filesystem::read_symlink("/proc/self/exe").parent_path() / "uncaught";
  int ends[2];
  if (::pipe(ends) != 0) return "no pipe";
  const pid_t pid = ::fork();
  if (pid == 0) {
    ::dup2(ends[1], STDERR_FILENO);
    ::close(ends[0]);
    ::close(ends[1]);
    ::execl(program.c_str(), program.c_str(), way, nullptr);
    ::_exit(127);
  }
  ::close(ends[1]);
  std::string text;
  char some[512];
  for (ssize_t n = 0; (n = ::read(ends[0], some, sizeof some)) > 0;)
    text.append(some, static_cast<std::size_t>(n));
  ::close(ends[0]);
  int status = 0;
  ::waitpid(pid, &status, 0);
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT) << status;
  return text;
}

void expect_all_told(const std::string& text) {
  EXPECT_TRUE(std::regex_search(
      text, std::regex("parse_error: no number here\n  thrown in worker [0-9]+ at:\n    #0 \\S+")))
      << text;
}

TEST(Uncaught, LeavingMain) { expect_all_told(last_words("main")); }
TEST(Uncaught, LeavingANoexceptFunction) { expect_all_told(last_words("noexcept")); }
TEST(Uncaught, LeavingAThread) { expect_all_told(last_words("thread")); }

TEST(Uncaught, TypesThatCannotComeBackAreNamedOnce) {
  const std::string text = last_words("unknown");
  EXPECT_TRUE(std::regex_search(
      text, std::regex("what\\(\\):  \\S*.*own_error\n  thrown in worker [0-9]+ at:\n    #0 \\S+")))
      << text;
}

TEST(Uncaught, ACrashIsToldWithItsFrames) {
  if (sanitized) GTEST_SKIP() << "the sanitizer handles the signals of crashes itself";
  const std::string text = last_words("crash");
  EXPECT_TRUE(std::regex_search(
      text, std::regex("SIGSEGV\\) while running item 0: fault at address 0x10\n  crashed at:\n"
                       "    #0 \\S+")))
      << text;
}

TEST(Uncaught, AUsersTerminateHandlerReadsTheSame) {
  const std::string text = last_words("handler");
  expect_all_told(text);
  EXPECT_NE(text.find("the user's handler: "), std::string::npos) << text;
}

}  // namespace
