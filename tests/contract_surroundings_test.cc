// SPDX-License-Identifier: MIT
// The contract of a pool with the process around it: its exit, its forks, its descriptors, its
// threads.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>
#include "procpool/procpool.h"
#include "support/methods.h"
#include "support/tasks.h"

namespace {

using namespace procpool::testing;  // NOLINT(google-build-using-namespace)
using namespace std::chrono_literals;
using procpool::pool;
using procpool::pool_options;

using clock = std::chrono::steady_clock;

class surroundings : public pool_test {};
PROCPOOL_PROCESS_METHODS(surroundings);

std::string child_program(const std::string& name) {
  return std::filesystem::read_symlink("/proc/self/exe").parent_path() / name;
}

/// Runs the helper program; true when it exits with 0. Orphans of it fall to us, and to the census.
::testing::AssertionResult run_forgotten_pool(const std::string& mode,
                                              std::multiset<std::string>& lines) {
  std::string file = ::testing::TempDir() + "procpool-lines-XXXXXX";
  const int fd = ::mkstemp(file.data());
  ::close(fd);
  const std::string program = child_program("forgotten_pool");
  const auto start = clock::now();
  const pid_t pid = ::fork();
  if (pid == 0) {
    ::execl(program.c_str(), program.c_str(), mode.c_str(), file.c_str(), nullptr);
    ::_exit(127);
  }
  int status = 0;
  ::waitpid(pid, &status, 0);
  if (!eventually([] { return has_no_child(); }, 20s))
    return ::testing::AssertionFailure() << "orphans are left";
  lines.clear();
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) lines.insert(line);
  std::filesystem::remove(file);
  if (status != 0) return ::testing::AssertionFailure() << "status " << status;
  if (clock::now() - start > 30s) return ::testing::AssertionFailure() << "took too long";
  return ::testing::AssertionSuccess();
}

TEST_P(surroundings, a_pool_in_static_storage_ends_with_the_process) {
  std::multiset<std::string> lines;
  for (const char* mode : {"static", "exit"}) {
    EXPECT_TRUE(run_forgotten_pool(mode, lines)) << mode;
    EXPECT_EQ(lines.size(), 20U) << mode;  // its destructor finished them
  }
}

TEST_P(surroundings, static_destructors_may_still_submit) {
  std::multiset<std::string> lines;
  EXPECT_TRUE(run_forgotten_pool("wish", lines));
  EXPECT_EQ(lines.count("100"), 1U);
  EXPECT_EQ(lines.count("101"), 0U);
  EXPECT_EQ(lines.size(), 21U);
}

TEST_P(surroundings, a_leaked_pool_leaves_no_orphan) {
  std::multiset<std::string> lines;
  EXPECT_TRUE(run_forgotten_pool("leaked", lines));
  EXPECT_EQ(lines.size(), 1U);
}

#ifndef __SANITIZE_THREAD__  // which cannot follow a thread that a forked child starts
TEST_P(surroundings, a_forked_child_has_pools_of_its_own) {
  pool outer(with(2));
  EXPECT_EQ(outer.apply(square, 2), 4);
  EXPECT_TRUE(in_a_child([] {
    pool p(with(2));
    return p.map(square, ints{1, 2, 3}) == ints{1, 4, 9};
  }));
  EXPECT_EQ(outer.apply(square, 3), 9);
}
#endif

TEST_P(surroundings, a_forked_child_cannot_use_this_one) {
  auto p = std::make_unique<pool>(with(2));
  auto result = p->apply_async(square, 5);
  EXPECT_TRUE(in_a_child([&] {
    int refused = 0;
    auto refuses = [&](auto use) {
      try {
        use();
      } catch (const procpool::wrong_process&) {
        ++refused;
      }
    };
    refuses([&] { p->apply(square, 1); });
    refuses([&] { static_cast<void>(p->apply_async(square, 1)); });
    refuses([&] { p->map(square, ints{1}); });
    refuses([&] { static_cast<void>(p->imap(square, ints{1})); });
    refuses([&] { p->close(); });
    refuses([&] { p->join(); });
    refuses([&] { p->terminate(); });
    refuses([&] { static_cast<void>(p->stats()); });
    refuses([&] { static_cast<void>(p->workers()); });
    p.reset();
    return refused == 9;
  }));
  EXPECT_EQ(result.get(), 25);  // and none of it did harm here
  EXPECT_EQ(p->apply(square, 3), 9);
}

std::unique_ptr<pool> made_before;

TEST_P(surroundings, a_task_cannot_use_a_pool_of_its_parent) {
  made_before = std::make_unique<pool>(with(1));
  {
    pool p(with(1));
    if (GetParam() == procpool::start_method::fork) {
      EXPECT_THROW(p.apply([] { return made_before->apply(square, 1); }), procpool::wrong_process);
      EXPECT_THROW(p.apply([] { return made_before->map(square, ints{1}); }),
                   procpool::wrong_process);
    } else {
      EXPECT_TRUE(p.apply([] { return made_before == nullptr; })) << "a fresh execution has none";
    }
  }
  EXPECT_EQ(made_before->apply(square, 2), 4);
  made_before.reset();
}

TEST_P(surroundings, standard_descriptors_may_be_closed) {
  for (int closed = 1; closed < 8; ++closed) {
    EXPECT_TRUE(in_a_child([closed] {
      for (int fd = 0; fd < 3; ++fd)
        if ((closed & (1 << fd)) != 0) ::close(fd);
      pool_options o = with(2);
      o.max_tasks_per_child = 3;  // replacements too
      pool p(o);
      return p.map(square, first(10)).back() == 81;
    })) << closed;
  }
}

TEST_P(surroundings, output_is_printed_once_and_flushed) {
  std::string file = ::testing::TempDir() + "procpool-output-XXXXXX";
  const int fd = ::mkstemp(file.data());
  EXPECT_TRUE(in_a_child([&] {
    if (::dup2(fd, 1) != 1) return false;
    std::setvbuf(stdout, nullptr, _IOFBF, 1 << 16);
    std::printf("<before>");  // lies in the buffer while the pool forks
    {
      pool_options o = with(2);
      o.max_tasks_per_child = 2;
      pool p(o);
      p.map(
          {.chunksize = 1}, [](int x) { std::printf("<%d>", x); }, first(8));
    }
    std::fflush(stdout);
    return true;
  }));
  ::close(fd);
  std::ifstream in(file);
  const std::string all(std::istreambuf_iterator<char>(in), {});
  std::filesystem::remove(file);
  auto count = [&](const std::string& what) {
    int n = 0;
    for (std::size_t at = 0; (at = all.find(what, at)) != std::string::npos; ++at) ++n;
    return n;
  };
  EXPECT_EQ(count("<before>"), 1) << all;
  for (int i = 0; i < 8; ++i) EXPECT_EQ(count("<" + std::to_string(i) + ">"), 1) << all;
}

TEST_P(surroundings, pools_are_made_while_other_threads_allocate) {
  std::atomic<bool> stop = false;
  std::vector<std::thread> noise;
  for (int t = 0; t < 3; ++t) {
    noise.emplace_back([&stop] {
      while (!stop) std::vector<std::string>(10, std::string(100, 'x')).clear();
    });
  }
  for (int i = 0; i < 10; ++i) {
    pool_options o = with(2);
    o.max_tasks_per_child = 2;
    pool p(o);
    EXPECT_EQ(
        p.map([](int x) { return std::string(static_cast<std::size_t>(x), 'y'); }, first(8))[7],
        "yyyyyyy");
  }
  stop = true;
  for (auto& t : noise) t.join();
}

}  // namespace
