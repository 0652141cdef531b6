// SPDX-License-Identifier: MIT
// The system refuses what passing a descriptor needs: the call says so, or the item does, or the
// worker is replaced. Nobody waits for ever, nobody gets another item's file, nothing stays open.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <exception>
#include <string>
#include <system_error>
#include <utility>

#include "procpool/procpool.h"
#include "support/fault_test.h"
#include "support/tasks.h"

namespace procpool::testing {
namespace {

class fd_fault : public fault_test {};
PROCPOOL_PROCESS_METHODS(fd_fault);

fd file_with(const std::string& text) {
  fd made(::memfd_create("a test's", MFD_CLOEXEC));
  EXPECT_GT(::pwrite(made.get(), text.data(), text.size(), 0), 0);
  return made;
}
std::string read_text(const fd& from) {
  char text[16] = {};
  return ::pread(from.get(), text, sizeof text, 0) < 0 ? "unreadable" : text;
}
std::string read_both(const fd& a, const fd& b) { return read_text(a) + read_text(b); }

/// The errno behind a serialization_error.
int cause_of(const serialization_error& e) {
  try {
    std::rethrow_if_nested(e);
  } catch (const std::system_error& cause) {
    return cause.code().value();
  }
  return 0;
}

TEST_P(fd_fault, a_copy_that_is_refused_is_told_by_the_call) {
  pool p(with(1));
  EXPECT_EQ(p.apply(read_text, file_with("a")), "a");
  const auto here = open_descriptors();
  for (const std::uint64_t nth : {1, 2}) {
    fault::arm("dup_cloexec", nth, EMFILE);
    try {
      p.apply(read_both, file_with("a"), file_with("b"));
      FAIL();
    } catch (const std::system_error& e) {
      EXPECT_EQ(e.code().value(), EMFILE);
    }
    EXPECT_EQ(open_descriptors(), here);
  }
  EXPECT_EQ(p.apply(read_both, file_with("a"), file_with("b")), "ab");
}

TEST_P(fd_fault, an_answer_that_cannot_be_sent_fails_the_item_with_the_reason) {
  pool p(with(1));
  EXPECT_EQ(p.apply(read_text, file_with("a")), "a");
  fault::arm("send", 1, ETOOMANYREFS);
  try {
    p.apply(read_both, file_with("a"), file_with("b"));
    FAIL();
  } catch (const serialization_error& e) {
    EXPECT_EQ(cause_of(e), ETOOMANYREFS);
  }
  EXPECT_TRUE(fault::fired());
  EXPECT_EQ(p.apply(read_both, file_with("c"), file_with("d")), "cd");
}

TEST_P(fd_fault, a_worker_that_cannot_even_be_told_so_is_replaced) {
  pool p(with(1));
  EXPECT_EQ(p.apply(read_text, file_with("a")), "a");
  fault::arm("send", 1, ENOBUFS, 2);
  EXPECT_THROW(p.apply(read_text, file_with("b")), worker_died);
  EXPECT_TRUE(fault::fired());
  EXPECT_EQ(p.apply(read_text, file_with("c")), "c");
}

TEST_P(fd_fault, an_answer_that_cannot_be_read_fails_the_item_and_no_other) {
  pool p(with(1));
  EXPECT_EQ(p.apply(read_text, file_with("a")), "a");
  const auto here = open_descriptors();
  int failed = 0;
  // The parent hears from its zygote by the same call, now and then, and lives without.
  for (int i = 0; i < 100 && failed == 0; ++i) {
    fault::arm("recv", 1, ENOMEM);
    try {
      EXPECT_EQ(p.apply(read_both, file_with("late"), file_with("r")), "later");
    } catch (const serialization_error& e) {
      EXPECT_EQ(cause_of(e), ENOMEM);
      ++failed;
    }
    EXPECT_TRUE(fault::fired());
  }
  EXPECT_EQ(failed, 1);
  EXPECT_EQ(p.apply(read_both, file_with("its"), file_with(" own")), "its own");
  EXPECT_EQ(open_descriptors(), here);
}

TEST_P(fd_fault, a_worker_without_a_socket_is_started_later) {
  pool p(with(1));
  const pid_t first = p.apply([] { return ::getpid(); });
  fault::arm("socketpair", 1, ENFILE, 3);
  EXPECT_THROW(p.apply([] { ::raise(SIGKILL); }), worker_died);
  EXPECT_NE(p.apply([] { return ::getpid(); }), first);
  EXPECT_TRUE(fault::fired());
  EXPECT_EQ(p.apply(read_text, file_with("a")), "a");
}

TEST_P(fd_fault, a_pool_that_is_refused_sockets_for_good_breaks) {
  pool p(with(1));
  p.apply(square, 1);
  fault::arm("socketpair", 1, ENFILE, 1'000'000);
  EXPECT_THROW(p.apply([] { ::raise(SIGKILL); }), worker_died);
  try {
    p.apply(square, 1);
    FAIL();
  } catch (const pool_broken& e) {
    try {
      std::rethrow_if_nested(e);
      FAIL();
    } catch (const std::system_error& cause) {
      EXPECT_EQ(cause.code().value(), ENFILE);
    }
  }
}

}  // namespace
}  // namespace procpool::testing
