// SPDX-License-Identifier: MIT
// A worker that crashes tells what of: signal, address, exception, where it stood, what it printed,
// what it used; and dies as it would have died without being watched.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cassert>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "procpool/procpool.h"
#include "support/board.h"
#include "support/fork_test.h"
#include "support/methods.h"
#include "symbols/dwarf_lines.h"

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
  char* p = static_cast<char*>(std::calloc(1, 100));  // what lies before a block has its say, too
  char* volatile inside = p + 8;                      // no block begins there
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
template <class E>
FRAME int throws_one(E what) {
  throw what;
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

FRAME int loses_its_stack() {
#if defined(__x86_64__)
  asm volatile("mov $0x1000, %rsp\n mov $0x1000, %rbp\n push %rax");
#else
  asm volatile("mov x29, #0x1000\n mov sp, x29\n mov x30, #8\n str x29, [sp]");
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
  auto result = p.apply_async([f] {
    quietly();
    return f();
  });
  return thrown_by<worker_died>([&] { return result.get(ages); });
}

bool names(const stacktrace& stack, const std::string& function) {
  return std::any_of(stack.begin(), stack.end(), [&](const stack_frame& f) {
    return f.function.find(function) != std::string::npos;
  });
}

bool says(const worker_died& e, const std::string& words) {
  return std::string(e.what()).find(words) != std::string::npos;
}

using cause = worker_died::cause_type;

class crash : public pool_test {
 protected:
  void TearDown() override {
    own_.reset();
    pool_test::TearDown();
  }

 private:
  std::unique_ptr<pool> own_ = std::make_unique<pool>(with(1));

 protected:
  pool& p = *own_;
};
PROCPOOL_PROCESS_METHODS(crash);

// ---- faults -------------------------------------------------------------------------------------

TEST_P(crash, of_a_bad_pointer) {
  const auto e = death_of(p, [] { return crashing::reads(0x10); });
  EXPECT_EQ(e.signal(), SIGSEGV);
  EXPECT_EQ(e.cause(), cause::signalled);
  EXPECT_EQ(e.fault_address(), 0x10u);
  ASSERT_FALSE(e.stack().empty());
  EXPECT_NE(e.stack()[0].function.find("crashing::reads"), std::string::npos) << e.stack();
  EXPECT_TRUE(e.exception().empty());
  EXPECT_TRUE(says(e, "(SIGSEGV)")) << e.what();
  EXPECT_TRUE(says(e, "address 0x10")) << e.what();
  if (symbols::load_libdw("libdw.so.1") != nullptr) {
    EXPECT_TRUE(e.stack()[0].file.ends_with("crash_test.cc")) << e.stack();
    EXPECT_GT(e.stack()[0].line, 0);
  }
  EXPECT_EQ(e.stack().to_string().find("invocation<"), std::string::npos) << e.stack();
  EXPECT_FALSE(names(e.stack(), "core::work")) << "the worker's own frames:\n" << e.stack();
}

TEST_P(crash, of_an_address_the_processor_does_not_tell) {
#if defined(__x86_64__)
  const auto e = death_of(p, [] { return crashing::reads(0xdead'0000'0000'0000); });
  EXPECT_EQ(e.signal(), SIGSEGV);
  EXPECT_EQ(e.fault_address(), std::nullopt);
  EXPECT_TRUE(names(e.stack(), "crashing::reads")) << e.stack();
#endif
}

TEST_P(crash, of_a_page_behind_the_end_of_its_file) {
  const auto e = death_of(p, [] {
    const int file = ::memfd_create("short", MFD_CLOEXEC);
    void* page = ::mmap(nullptr, 4096, PROT_READ, MAP_SHARED, file, 0);
    return crashing::reads(reinterpret_cast<std::uintptr_t>(page));
  });
  EXPECT_EQ(e.signal(), SIGBUS);
  EXPECT_TRUE(e.fault_address());
  EXPECT_TRUE(names(e.stack(), "crashing::reads")) << e.stack();
}

TEST_P(crash, of_a_division_by_zero) {
#if defined(__x86_64__)  // arm64 divides by zero without a word
  const auto e = death_of(p, [] { return crashing::divides(0); });
  EXPECT_EQ(e.signal(), SIGFPE);
  EXPECT_EQ(e.cause(), cause::signalled);
  EXPECT_TRUE(e.fault_address());
  EXPECT_NE(e.stack()[0].function.find("crashing::divides"), std::string::npos) << e.stack();
#endif
}

TEST_P(crash, of_what_is_no_instruction) {
  const auto e = death_of(p, [] { return crashing::is_no_instruction(); });
  EXPECT_EQ(e.signal(), SIGILL);
  EXPECT_TRUE(e.fault_address());
  EXPECT_NE(e.stack()[0].function.find("is_no_instruction"), std::string::npos) << e.stack();
}

TEST_P(crash, of_a_call_of_a_null_function) {
  const auto e = death_of(p, [] { return crashing::calls(0); });
  EXPECT_EQ(e.signal(), SIGSEGV);
  EXPECT_EQ(e.fault_address(), 0u);
  ASSERT_GE(e.stack().size(), 2u);
  EXPECT_EQ(e.stack()[0].to_string(), "0x0");
  EXPECT_NE(e.stack()[1].function.find("crashing::calls"), std::string::npos) << e.stack();
}

TEST_P(crash, of_a_stack_overflow) {
  const auto e = death_of(p, [] { return crashing::recurses(1); });
  EXPECT_EQ(e.signal(), SIGSEGV);
  EXPECT_TRUE(e.fault_address());
  EXPECT_EQ(e.stack().size(), 64u);
  EXPECT_TRUE(names(e.stack(), "crashing::recurses")) << e.stack();
}

// A stack whose next frame cannot be read: the handler faults itself.
TEST_P(crash, of_a_stack_that_cannot_be_walked_keeps_what_was_found) {
  const auto e = death_of(p, [] { return crashing::loses_its_stack(); });
  EXPECT_EQ(e.signal(), SIGSEGV);
  ASSERT_EQ(e.stack().size(), 1u) << e.stack();
  EXPECT_NE(e.stack()[0].function.find("loses_its_stack"), std::string::npos) << e.stack();
  EXPECT_EQ(p.apply([] { return 2; }), 2);
}

TEST_P(crash, of_another_thread) {
  const auto e = death_of(p, [] {
    std::thread([] { crashing::reads(0x20); }).join();
    return 0;
  });
  EXPECT_EQ(e.signal(), SIGSEGV);
  EXPECT_EQ(e.fault_address(), 0x20u);
  EXPECT_TRUE(names(e.stack(), "crashing::reads")) << e.stack();
}

TEST_P(crash, of_another_thread_s_stack_overflow_has_no_stack) {
  const auto e = death_of(p, [] {
    std::thread([] { crashing::recurses(1); }).join();
    return 0;
  });
  EXPECT_EQ(e.signal(), SIGSEGV);
  EXPECT_EQ(e.cause(), cause::signalled);
#if !defined(__SANITIZE_ADDRESS__)  // gives every thread a stack for its signals
  EXPECT_TRUE(e.stack().empty());
#endif
}

TEST_P(crash, of_several_threads_at_once_is_one_crash) {
  const auto e = death_of(p, [] {
    std::vector<std::thread> all;
    for (int i = 0; i < 8; ++i) all.emplace_back([] { crashing::reads(0x30); });
    for (auto& t : all) t.join();
    return 0;
  });
  EXPECT_EQ(e.signal(), SIGSEGV);
  EXPECT_EQ(e.fault_address(), 0x30u);
  EXPECT_NE(e.stack()[0].function.find("crashing::reads"), std::string::npos) << e.stack();
}

// ---- abort, std::terminate ----------------------------------------------------------------------

TEST_P(crash, of_abort) {
  const auto e = death_of(p, [] { return crashing::aborts(); });
  EXPECT_EQ(e.signal(), SIGABRT);
  EXPECT_EQ(e.cause(), cause::signalled);
  EXPECT_EQ(e.fault_address(), std::nullopt);
  EXPECT_TRUE(names(e.stack(), "crashing::aborts")) << e.stack();
}

TEST_P(crash, of_a_failed_assert_has_its_words) {
  const auto e = death_of(p, [] { return crashing::asserts(2); });
  EXPECT_EQ(e.signal(), SIGABRT);
  EXPECT_TRUE(says(e, "two == 3")) << e.what();
  EXPECT_EQ(e.exception().type, "");
  EXPECT_NE(e.exception().text.find("two == 3"), std::string::npos);
  EXPECT_TRUE(names(e.stack(), "crashing::asserts")) << e.stack();
}

#if !defined(__SANITIZE_ADDRESS__) && \
    !defined(__SANITIZE_THREAD__)  // they have a heap of their own
// malloc's lock may be held here.
TEST_P(crash, inside_free_has_the_words_of_the_c_library) {
  const auto e = death_of(p, [] { return crashing::frees(); });
  EXPECT_EQ(e.signal(), SIGABRT);
  EXPECT_TRUE(says(e, "free(): invalid")) << e.what();
  EXPECT_TRUE(names(e.stack(), "crashing::frees")) << e.stack();
}
#endif

TEST_P(crash, of_an_exception_that_may_not_leave) {
  const auto e = death_of(p, [] { return crashing::lets_nothing_out(); });
  EXPECT_EQ(e.signal(), SIGABRT);
  EXPECT_EQ(e.exception().type, "std::range_error");
  EXPECT_EQ(e.exception().text, "beyond the pale");
  EXPECT_TRUE(says(e, ": std::range_error: beyond the pale")) << e.what();
  EXPECT_TRUE(names(e.stack(), "lets_nothing_out")) << e.stack();
}

TEST_P(crash, of_an_exception_that_leaves_a_thread_shows_who_threw) {
  const auto e = death_of(p, [] {
    std::thread([] { crashing::throws(1); }).join();
    return 0;
  });
  EXPECT_EQ(e.exception().type, "std::range_error");
  EXPECT_TRUE(names(e.stack(), "crashing::throws")) << e.stack();
}

TEST_P(crash, of_what_is_no_exception) {
  const auto text = death_of(p, []() noexcept { return crashing::throws_one("just words"); });
  EXPECT_EQ(text.exception().type, "char const*");
  EXPECT_EQ(text.exception().text, "just words");
  const auto number = death_of(p, []() noexcept { return crashing::throws_one(3); });
  EXPECT_EQ(number.exception().type, "int");
  EXPECT_EQ(number.exception().text, "");
  const auto none = death_of(p, []() -> int { std::terminate(); });
  EXPECT_TRUE(none.exception().empty()) << none.what();
}

TEST_P(crash, with_more_words_than_there_is_room_for) {
  const auto e = death_of(p, []() noexcept {
    return crashing::throws_one(std::runtime_error(std::string(100'000, 'x')));
  });
  EXPECT_EQ(e.exception().text, std::string(1024, 'x'));
}

// ---- signals that are sent ----------------------------------------------------------------------

TEST_P(crash, that_it_raised_itself) {
  const auto e = death_of(p, [] { return crashing::traps(); });
  EXPECT_EQ(e.signal(), SIGTRAP);
  EXPECT_EQ(e.cause(), cause::signalled);
  EXPECT_EQ(e.fault_address(), std::nullopt);
  EXPECT_TRUE(names(e.stack(), "crashing::traps")) << e.stack();
}

TEST_P(crash, that_somebody_else_sent) {
  for (const int signal : {SIGSEGV, SIGABRT, SIGKILL, SIGTERM}) {
    board b;
    auto doomed = p.apply_async([m = b.here()] {
      quietly();
      m.set(0, ::getpid());
      for (;;) ::pause();
    });
    b->await(0);
    ::kill(b->at(0), signal);
    const auto e = thrown_by<worker_died>([&] {
      doomed.get(ages);
      return 0;
    });
    EXPECT_EQ(e.signal(), signal);
    EXPECT_EQ(e.cause(), cause::killed);
    EXPECT_EQ(e.fault_address(), std::nullopt);
    EXPECT_EQ(e.pid(), b->at(0));
  }
}

TEST_P(crash, by_leaving_has_neither_signal_nor_stack) {
  const auto e = death_of(p, []() -> int { ::_exit(7); });
  EXPECT_EQ(e.cause(), cause::exited);
  EXPECT_EQ(e.exit_code(), 7);
  EXPECT_TRUE(e.stack().empty());
  EXPECT_EQ(e.fault_address(), std::nullopt);
}

// ---- what is the user's -------------------------------------------------------------------------

TEST_P(crash, handled_by_the_task_is_the_task_s_affair) {
  const auto e = death_of(p, [] {
    ::signal(SIGSEGV, [](int) { ::_exit(42); });
    return crashing::reads(0x10);
  });
  EXPECT_EQ(e.exit_code(), 42);
  EXPECT_TRUE(e.stack().empty());
}

TEST_P(crash, is_none_where_the_user_ignores_the_signal) {
  ::signal(SIGTRAP, SIG_IGN);
  pool ignoring(with(1));
  ::signal(SIGTRAP, SIG_DFL);
  EXPECT_EQ(ignoring.apply([] {
    crashing::traps();
    return 5;
  }),
            5);
}

TEST_P(crash, of_a_process_that_the_task_forked_is_that_one_s) {
  const auto e = death_of(p, [] {
    const pid_t child = ::fork();
    if (child == 0) crashing::reads(0x50);
    int status = 0;
    ::waitpid(child, &status, 0);
    std::fprintf(stderr, "child: %d\n", WIFSIGNALED(status) ? WTERMSIG(status) : 0);
    ::_exit(3);
    return 0;
  });
  EXPECT_EQ(e.exit_code(), 3);
  EXPECT_TRUE(e.stack().empty());
  EXPECT_EQ(e.stderr_tail(), "child: " + std::to_string(SIGSEGV) + "\n");
}

TEST_P(crash, without_traces_has_what_the_kernel_knows) {
  pool_options o = with(1);
  o.crash_traces = false;
  pool plain(o);
  const auto e = death_of(plain, [] {
    std::fprintf(stderr, "words\n");
    return crashing::reads(0x10);
  });
  EXPECT_EQ(e.signal(), SIGSEGV);
  EXPECT_EQ(e.cause(), cause::signalled);
  EXPECT_TRUE(e.stack().empty());
  EXPECT_EQ(e.fault_address(), std::nullopt);
  EXPECT_EQ(e.stderr_tail(), "");
  EXPECT_GT(e.usage().max_rss, 0u);
}

TEST_P(crash, leaves_the_core_file_it_would_have_left) {
  struct rlimit cores {};
  ::getrlimit(RLIMIT_CORE, &cores);
  std::string pattern;
  std::getline(std::ifstream("/proc/sys/kernel/core_pattern"), pattern);
  if (cores.rlim_max == 0 || pattern.empty() || pattern[0] == '|' || pattern[0] == '/')
    GTEST_SKIP() << "core files are off here, or go elsewhere";
  std::string folder = ::testing::TempDir() + "procpool-core-XXXXXX";
  ASSERT_NE(::mkdtemp(folder.data()), nullptr);
  auto result = p.apply_async(
      [](const std::string& where) {
        struct rlimit all {};
        ::getrlimit(RLIMIT_CORE, &all);
        all.rlim_cur = all.rlim_max;
        ::setrlimit(RLIMIT_CORE, &all);
        if (::chdir(where.c_str()) != 0) return 1;
        return crashing::reads(0x10);
      },
      folder);
  const auto e = thrown_by<worker_died>([&] { return result.get(ages); });
  EXPECT_TRUE(names(e.stack(), "crashing::reads"));
  std::uintmax_t size = 0;
  for (const auto& file : std::filesystem::directory_iterator(folder)) size += file.file_size();
  EXPECT_GT(size, 4096u);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  EXPECT_LT(size, std::uintmax_t{256} << 20) << "what the pool maps does not belong there";
#endif
  std::filesystem::remove_all(folder);
}

// ---- where it is told ---------------------------------------------------------------------------

TEST_P(crash, of_an_item_says_which) {
  const auto all = p.try_map(
      {.chunksize = 8},
      [](int i) {
        if (i != 5) return i;
        quietly();
        return crashing::reads(0x60);
      },
      std::vector{0, 1, 2, 3, 4, 5, 6, 7});
  for (std::size_t i = 0; i < all.size(); ++i) EXPECT_EQ(static_cast<bool>(all[i]), i != 5);
  const auto e = thrown_by<worker_died>(all[5].error());
  EXPECT_EQ(e.index(), 5u);
  EXPECT_TRUE(says(e, "item 5")) << e.what();
  EXPECT_TRUE(names(e.stack(), "crashing::reads")) << e.stack();
}

TEST_P(crash, of_a_second_worker_in_the_same_place_tells_its_own_story) {
  const auto one = death_of(p, [] {
    std::fprintf(stderr, "first words\n");
    return crashing::lets_nothing_out();
  });
  const auto two = death_of(p, [] { return crashing::reads(0x70); });
  EXPECT_TRUE(two.exception().empty());
  EXPECT_EQ(two.stderr_tail(), "");
  EXPECT_EQ(two.fault_address(), 0x70u);
  EXPECT_FALSE(names(two.stack(), "lets_nothing_out"));
  EXPECT_TRUE(names(one.stack(), "lets_nothing_out"));
}

// What travels twice: out of the inner pool's worker, and out of the outer pool's as an exception.
int crash_inside() {
  quietly();
  std::fprintf(stderr, "last words\n");
  return crashing::reads(0x80);
}
int in_an_inner_pool() {
  pool inner(1);
  return inner.apply(crash_inside);
}
TEST_P(crash, in_a_pool_in_a_pool_keeps_its_story) {
  const auto e = thrown_by<worker_died>([&] { return p.apply(in_an_inner_pool); });
  EXPECT_EQ(e.signal(), SIGSEGV);
  EXPECT_EQ(e.cause(), cause::signalled);
  EXPECT_EQ(e.fault_address(), 0x80u);
  EXPECT_TRUE(names(e.stack(), "crashing::reads")) << e.stack();
  EXPECT_EQ(e.stderr_tail(), "last words\n");
  EXPECT_GT(e.usage().max_rss, 0u);
}

TEST_P(crash, of_the_initializer) {
  pool_options o = with(1);
  o.initializer = [] {
    quietly();
    crashing::reads(0x90);
  };
  pool failing(o);
  try {
    failing.apply([] { return 1; });
    ADD_FAILURE() << "it lives";
  } catch (const initializer_failed& outer) {
    const auto e = thrown_by<worker_died>([&] {
      std::rethrow_if_nested(outer);
      return 0;
    });
    EXPECT_EQ(e.fault_address(), 0x90u);
    EXPECT_TRUE(names(e.stack(), "crashing::reads")) << e.stack();
  }
}

// ---- what else is known -------------------------------------------------------------------------

TEST_P(crash, tells_what_the_process_has_used) {
  const auto e = death_of(p, [] {
    std::vector<char> much(64 << 20, 'x');
    const auto until = std::clock() + CLOCKS_PER_SEC / 10;
    while (std::clock() < until) crashing::sink = much[static_cast<std::size_t>(until) % 4096];
    return crashing::reads(0);
  });
  EXPECT_GE(e.usage().user_time + e.usage().system_time, milliseconds(90));
  EXPECT_LT(e.usage().user_time, seconds(60));
  EXPECT_GE(e.usage().max_rss, std::size_t{64} << 20);
}

}  // namespace
}  // namespace procpool
