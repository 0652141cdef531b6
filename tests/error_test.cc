// SPDX-License-Identifier: MIT
// The errors themselves: what worker_died makes of a wait status, when remote_info is there, and
// the cold ends of reader.
#include "procpool/error.h"

#include <gtest/gtest.h>
#include <sys/wait.h>

#include <csignal>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "procpool/detail/buffer.h"

namespace procpool {
namespace {

TEST(WorkerDied, SaysWhatTheStatusSays) {
  const worker_died killed(1234, W_EXITCODE(0, SIGSEGV) | WCOREFLAG, 3);
  EXPECT_STREQ(killed.what(),
               "procpool: worker 1234 was killed by signal 11 (SIGSEGV) while running item 3");
  EXPECT_EQ(killed.signal(), SIGSEGV);
  EXPECT_EQ(killed.exit_code(), -1);
  EXPECT_EQ(killed.cause(), worker_died::cause_type::signalled);

  const worker_died left(1234, W_EXITCODE(99, 0), 0);
  EXPECT_STREQ(left.what(), "procpool: worker 1234 exited with code 99 while running item 0");
  EXPECT_EQ(left.signal(), 0);
  EXPECT_EQ(left.exit_code(), 99);
  EXPECT_EQ(left.cause(), worker_died::cause_type::exited);

  const std::string real_time = worker_died(1, W_EXITCODE(0, 40), 0).what();
  EXPECT_EQ(real_time, "procpool: worker 1 was killed by signal 40 while running item 0");
}

TEST(WorkerDied, SaysInOneLineWhatIsKnown) {
  const auto of = [](worker_died::details known) {
    return worker_died(7, W_EXITCODE(0, SIGABRT), 2,
                       std::make_shared<const worker_died::details>(std::move(known)));
  };
  const std::string begin =
      "procpool: worker 7 was killed by signal 6 (SIGABRT) while running item 2";
  EXPECT_EQ(of({}).what(), begin);
  EXPECT_EQ(of({}).cause(), worker_died::cause_type::signalled);
  worker_died::details known;
  known.fault_address = 0;
  EXPECT_EQ(of(known).what(), begin + ": fault at address 0x0");
  known.exception = {"some::type", "two\nlines\t\x01 \n"};
  EXPECT_EQ(of(known).what(), begin + ": some::type: two lines  ");
  known.exception = {"some::type", ""};
  EXPECT_EQ(of(known).what(), begin + ": some::type");
  known.exception = {"", "free(): invalid pointer\n"};
  EXPECT_EQ(of(known).what(), begin + ": free(): invalid pointer");
}

TEST(WorkerDied, HasACauseThatTheStatusTells) {
  const auto cause = [](int status) { return worker_died(1, status, 0).cause(); };
  using cause_type = worker_died::cause_type;
  for (const int s : {SIGKILL, SIGTERM, SIGHUP, SIGINT, SIGQUIT, SIGUSR1, SIGUSR2, 40, 64})
    EXPECT_EQ(cause(W_EXITCODE(0, s)), cause_type::killed) << s;
  for (const int s : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS, SIGPIPE, SIGALRM,
                      SIGXCPU, SIGXFSZ})
    EXPECT_EQ(cause(W_EXITCODE(0, s)), cause_type::signalled) << s;
  EXPECT_EQ(cause(W_EXITCODE(9, 0)), cause_type::exited);
}

TEST(WorkerDied, IsCopiedWithAllItKnows) {
  worker_died::details known;
  known.stderr_tail = "words";
  const worker_died one(7, 0, 2, std::make_shared<const worker_died::details>(known));
  const worker_died two = one;
  EXPECT_EQ(two.known(), one.known());
  EXPECT_EQ(two.stderr_tail(), "words");
  EXPECT_STREQ(two.what(), one.what());
  EXPECT_TRUE(std::is_nothrow_copy_constructible_v<worker_died>);
}

TEST(RemoteInfo, ALocalExceptionHasNoRemoteInfo) {
  EXPECT_EQ(remote_info::of(std::runtime_error("here")), nullptr);
  EXPECT_EQ(remote_info::of(timeout_error()), nullptr);
}

TEST(Reader, RefusesWhatIsTooShortOrTooDeep) {
  const std::byte one{1};
  detail::reader in(&one, 1);
  EXPECT_THROW(in.take(2), serialization_error);
  EXPECT_EQ(in.left(), 1U);
  std::vector<std::unique_ptr<detail::reader::level>> levels;
  levels.reserve(detail::reader::deepest);
  for (int i = 0; i < detail::reader::deepest; ++i)
    levels.push_back(std::make_unique<detail::reader::level>(in));
  EXPECT_THROW(detail::reader::level{in}, serialization_error);
}

}  // namespace
}  // namespace procpool
