// SPDX-License-Identifier: MIT
// A worker that crashes tells what of: signal, address, exception, where it stood, what it printed,
// what it used; and dies as it would have died without being watched.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cassert>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "procpool/procpool.h"
#include "support/board.h"
#include "support/fork_test.h"
#include "support/methods.h"

namespace procpool {

// Outside the unnamed namespace, not inlined, and not ended by a jump: each has a frame and a name.
#define FRAME [[gnu::noinline]] __attribute__((no_sanitize("address", "undefined", "thread")))
namespace crashing {

volatile int sink = 0;

FRAME int reads(std::uintptr_t address) {
  const int value = *reinterpret_cast<volatile int*>(address);
  return value + sink;
}
FRAME int divides(int by) {
  volatile int five = 5;
  volatile int zero = by;
  const int value = five / zero;
  return value + sink;
}
FRAME int recurses(int n) {
  volatile char much[1000];
  much[static_cast<unsigned>(n) % sizeof much] = 1;
  const int below = n < 0 ? 0 : recurses(n + 1);
  return below + much[0];
}
FRAME int calls(std::uintptr_t address) {
  auto* volatile f = reinterpret_cast<int (*)()>(address);
  const int value = f();
  return value + sink;
}
FRAME int aborts() {
  std::abort();
  return sink;
}
FRAME int frees() {
  char* p = static_cast<char*>(std::malloc(100));
  char* volatile inside = p + 16;
  std::free(inside);
  return sink;
}
FRAME int asserts(int two) {
  // NDEBUG or not: what assert does when it fails.
  if (two != 3) __assert_fail("two == 3", "crash_test.cc", 1, "asserts");
  return sink;
}
FRAME int throws(int n) {
  if (n >= 0) throw std::range_error("beyond the pale");
  return sink;
}
FRAME int lets_nothing_out() noexcept {
  const int value = throws(3);
  return value + sink;
}
FRAME int traps() {
  ::raise(SIGTRAP);
  return sink;
}
FRAME int is_no_instruction() {
#if defined(__x86_64__)
  asm volatile("ud2");
#else
  asm volatile("udf #0");
#endif
  return sink;
}

}  // namespace crashing

namespace {

using namespace testing;  // NOLINT: this file is about what stands there

/// No core files from what is meant to crash, and nothing printed.
void quietly() {
  const struct rlimit none { 0, 0 };
  ::setrlimit(RLIMIT_CORE, &none);
  const int nowhere = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
  ::dup2(nowhere, 2);
  ::close(nowhere);
}

/// What a task that does this dies of.
template <class F>
worker_died death_of(pool& p, F f) {
  return thrown_by<worker_died>([&] {
    return p.apply([f] {
      quietly();
      return f();
    });
  });
}

[[maybe_unused]] bool names(const stacktrace& stack, const std::string& function) {
  for (const stack_frame& f : stack)
    if (f.function.find(function) != std::string::npos) return true;
  ADD_FAILURE() << function << " is not in\n" << stack;
  return false;
}

using cause = worker_died::cause_type;

class crash : public pool_test {};
PROCPOOL_PROCESS_METHODS(crash);

TEST_P(crash, of_a_bad_pointer_says_its_address_and_where) {
  pool p(with(1));
  const auto e = death_of(p, [] { return crashing::reads(0x10); });
  EXPECT_EQ(e.signal(), SIGSEGV);
  EXPECT_EQ(e.cause(), cause::signalled);
  EXPECT_EQ(e.fault_address(), 0x10u);
  ASSERT_FALSE(e.stack().empty());
  EXPECT_NE(e.stack()[0].function.find("crashing::reads"), std::string::npos) << e.stack();
  EXPECT_TRUE(e.exception().empty());
  EXPECT_NE(std::string(e.what()).find("(SIGSEGV)"), std::string::npos) << e.what();
  EXPECT_NE(std::string(e.what()).find("0x10"), std::string::npos) << e.what();
}

}  // namespace
}  // namespace procpool
