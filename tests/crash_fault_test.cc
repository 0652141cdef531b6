// SPDX-License-Identifier: MIT
// What is only asked of the system when a worker has crashed, or for a pool of as many workers as
// there are CPUs: each such call fails, and what the caller is told has less in it. All other calls
// are failed by constructor_fault_test.cc.
#include <gtest/gtest.h>

#include <cerrno>
#include <csignal>
#include <string>

#include "procpool/procpool.h"
#include "support/fault_test.h"
#include "support/tasks.h"

namespace procpool::testing {
namespace {

class crash_fault : public fault_test {
 protected:
  void SetUp() override {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    GTEST_SKIP() << "the sanitizer handles the signals of crashes itself";
#endif
  }

  /// What its death says; the pool goes on.
  static worker_died death_in(pool& p) {
    try {
      p.apply([] { ::raise(SIGSEGV); });
    } catch (const worker_died& e) {
      EXPECT_EQ(e.signal(), SIGSEGV);
      EXPECT_EQ(p.apply(square, 3), 9);
      return e;
    }
    throw std::runtime_error("it did not die");
  }
};
PROCPOOL_PROCESS_METHODS(crash_fault);

TEST_P(crash_fault, a_stack_whose_names_cannot_be_read_has_its_frames) {
  pool p(with(1));
  const worker_died e = death_in(p);
  ASSERT_FALSE(e.stack().empty());
  for (const char* call : {"openat", "fstat", "pread", "readlink"}) {
    SCOPED_TRACE(call);
    EXPECT_TRUE(in_a_child([&] {  // where nothing is known of the files yet
      fault::arm(call, 1, EMFILE, 1'000'000);
      const std::string text = e.stack().to_string();
      return fault::fired() && text.find("#0 ") != std::string::npos;
    }));
    fault::reset();
  }
}

TEST_P(crash_fault, a_crash_that_cannot_be_raised_again_ends_the_worker) {
  pool p(with(1));
  fault::arm("queue_signal", 1, EAGAIN, 1'000'000);
  death_in(p);
  EXPECT_TRUE(fault::fired());
}

TEST(cpus_fault, without_an_affinity_there_are_workers) {
  fault::reset();
  fault::arm("sched_getaffinity", 1, EPERM, 1'000'000);
  pool p;
  EXPECT_TRUE(fault::fired());
  fault::reset();
  EXPECT_EQ(p.apply(square, 3), 9);
}

}  // namespace
}  // namespace procpool::testing
