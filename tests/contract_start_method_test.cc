// SPDX-License-Identifier: MIT
// What is different about each start method, and what must not be: where a worker's program begins,
// what it inherits, how deep pools go, whose code it finds.
#include <dlfcn.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "base/fd.h"
#include "procpool/procpool.h"
#include "support/board.h"
#include "support/fork_test.h"
#include "support/methods.h"
#include "support/tasks.h"

namespace {

using namespace procpool::testing;  // NOLINT(google-build-using-namespace)
using procpool::pool;
using procpool::start_method;

class started : public pool_test {
 protected:
  [[nodiscard]] static bool forked() { return GetParam() == start_method::fork; }
};
PROCPOOL_PROCESS_METHODS(started);

// ---- where a worker begins

const pid_t executed_as = ::getpid();
int set_by_the_test = 0;

TEST_P(started, fresh_executions_have_run_static_initialisation_and_no_more) {
  set_by_the_test = 7;
  pool p(with(2));
  const auto [constructed_in, value, self] =
      p.apply([] { return std::tuple(executed_as, set_by_the_test, ::getpid()); });
  set_by_the_test = 0;
  switch (GetParam()) {
    case start_method::fork:
      EXPECT_EQ(constructed_in, ::getpid());
      EXPECT_EQ(value, 7);
      break;
    case start_method::forkserver:
      EXPECT_NE(constructed_in, ::getpid());
      EXPECT_NE(constructed_in, self);
      EXPECT_EQ(value, 0);
      break;
    default:
      EXPECT_EQ(constructed_in, self);
      EXPECT_EQ(value, 0);
  }
}

TEST_P(started, replacements_begin_as_the_first_ones_did) {
  auto o = with(1);
  o.max_tasks_per_child = 1;
  pool p(o);
  std::set<pid_t> began;
  for (int i = 0; i < 3; ++i) began.insert(p.apply([] { return executed_as; }));
  EXPECT_EQ(began.size(), GetParam() == start_method::spawn ? 3u : 1u);
}

// ---- what it inherits

TEST_P(started, has_its_parents_environment_directory_and_streams) {
  ::setenv("STARTED_TEST", "of the parent", 1);
  const auto before = std::filesystem::current_path();
  std::filesystem::current_path(::testing::TempDir());
  pool p(with(1));
  const auto in_worker = [] {
    struct ::stat out {};
    ::fstat(STDOUT_FILENO, &out);
    const char* variable = std::getenv("STARTED_TEST");
    return std::tuple(std::string(variable != nullptr ? variable : "none"),
                      std::filesystem::current_path().string(), out.st_dev, out.st_ino,
                      std::getenv("PROCPOOL_DEPTH") != nullptr);
  };
  const auto seen = p.apply(in_worker);
  EXPECT_EQ(seen, in_worker());
  ::unsetenv("STARTED_TEST");
  std::filesystem::current_path(before);
}

TEST_P(started, fresh_executions_have_no_other_descriptor_of_their_parents) {
  // Numbered high, so that no descriptor of the pool's own has it; and not closed by exec.
  const procpool::base::fd file(::open("/dev/null", O_RDONLY));
  const procpool::base::fd high(::fcntl(file.get(), F_DUPFD, 700));
  ASSERT_GE(high.get(), 700);
  pool p(with(1));
  EXPECT_EQ(p.apply([](int fd) { return ::fcntl(fd, F_GETFD) != -1; }, high.get()), forked());
}

TEST_P(started, children_of_a_worker_inherit_nothing_of_the_pool) {
  const auto count = [] {
    std::FILE* ls = ::popen("ls -l /proc/self/fd | grep -cE 'procpool|anon_inode|socket'", "r");
    int n = -1;
    if (std::fscanf(ls, "%d", &n) != 1) n = -1;
    ::pclose(ls);
    return n;
  };
  const int of_ours = count();
  pool p(with(2));
  EXPECT_LE(p.apply(count), of_ours);
}

TEST_P(started, the_signal_mask_is_empty_and_interrupts_are_ignored) {
  pool p(with(1));
  const auto [blocked, interrupt] = p.apply([] {
    sigset_t mask;
    ::sigprocmask(SIG_BLOCK, nullptr, &mask);
    int n = 0;
    for (int s = 1; s < 32; ++s) n += ::sigismember(&mask, s);
    struct ::sigaction a {};
    ::sigaction(SIGINT, nullptr, &a);
    return std::pair(n, a.sa_handler == SIG_IGN);
  });
  EXPECT_EQ(blocked, 0);
  EXPECT_TRUE(interrupt);
}

const bool handles = ::signal(SIGUSR2, [](int) {}) != SIG_ERR;

TEST_P(started, handlers_are_put_away_whoever_installed_them) {
  ASSERT_TRUE(handles);
  pool p(with(1));
  EXPECT_TRUE(p.apply([] {
    struct ::sigaction a {};
    ::sigaction(SIGUSR2, nullptr, &a);
    return a.sa_handler == SIG_DFL;
  }));
}

// ---- from any parent

TEST_P(started, from_a_parent_with_busy_threads) {
  std::atomic<bool> stop{false};
  std::vector<std::thread> busy;
  for (int i = 0; i < 3; ++i)
    busy.emplace_back([&stop] {
      while (!stop) {
        std::string text(1000, 'x');
        std::snprintf(text.data(), text.size(), "%d", static_cast<int>(text.size()));
      }
    });
  for (int round = 0; round < 3; ++round) {
    pool p(with(2));
    EXPECT_EQ(p.map(square, first(50)), squares(50));
  }
  stop = true;
  for (auto& t : busy) t.join();
}

TEST_P(started, pools_made_by_several_threads_at_once) {
  std::vector<std::thread> makers;
  std::atomic<int> right{0};
  for (int i = 0; i < 4; ++i)
    makers.emplace_back([&right] {
      pool p(with(2));
      if (p.map(square, first(20)) == squares(20)) ++right;
    });
  for (auto& t : makers) t.join();
  EXPECT_EQ(right, 4);
}

// ---- pools in workers

int sum_of_a_pool_inside(start_method method) {
  pool p({.processes = 2, .start_method = method});
  int total = 0;
  for (int x : p.map(square, first(5))) total += x;
  return total;
}

TEST_P(started, a_pool_in_a_worker_works) {
  pool p(with(2));
  for (start_method inner : process_methods)
    EXPECT_EQ(p.apply(sum_of_a_pool_inside, inner), 30) << static_cast<int>(inner);
}

std::string go_down(start_method method) {
  try {
    pool p({.processes = 1, .start_method = method});
    return p.apply(go_down, method);
  } catch (const procpool::error& e) {
    return e.what();
  }
}

TEST_P(started, pools_do_not_go_down_without_end) {
  EXPECT_EQ(go_down(GetParam()),
            "procpool: pools are nested 8 deep, each in a worker of the one before: no deeper");
}

// ---- whose code it finds

template <class F>
F* function_of(void* library, const char* name) {
  return reinterpret_cast<F*>(::dlsym(library, name));
}

std::string plugin_path() {
  return (std::filesystem::read_symlink("/proc/self/exe").parent_path() / "arithmetic_alone.so")
      .string();
}

TEST_P(started, functions_of_a_plugin_that_was_loaded_later) {
  pool p(with(2));
  EXPECT_EQ(p.apply(square, 3), 9);
  void* plugin = ::dlopen(plugin_path().c_str(), RTLD_NOW | RTLD_LOCAL);
  ASSERT_NE(plugin, nullptr) << ::dlerror();
  EXPECT_EQ(p.map(function_of<int(int)>(plugin, "plugin_triple"), first(4)), (ints{0, 3, 6, 9}));
  EXPECT_EQ(p.apply(function_of<int (*())(int)>(plugin, "plugin_hidden")(), 1), 1001);
  EXPECT_EQ(function_of<int(pool*)>(plugin, "plugin_sum")(&p), 6);
  ::dlclose(plugin);
}

/// A plug-in that no other test has loaded: the same code with a build-id and a name of its own
/// (the loader knows by its name what it has loaded once, and may never unload it).
class copied_plugin {
 public:
  copied_plugin()
      : path_(::testing::TempDir() + "arithmetic-" + std::to_string(::getpid()) + "-" +
              std::to_string(builds) + ".so") {
    replace();
  }
  copied_plugin(const copied_plugin&) = delete;
  copied_plugin& operator=(const copied_plugin&) = delete;
  ~copied_plugin() { std::filesystem::remove(path_); }
  /// Another build takes its place, as an upgrade does it: by rename.
  void replace() {
    const std::string fresh = path_ + ".new";
    std::ifstream from(plugin_path(), std::ios::binary);
    std::string all((std::istreambuf_iterator<char>(from)), std::istreambuf_iterator<char>());
    // The note of a build-id: sizes of name and id, kind 3, the name, the id.
    const auto note = all.find(std::string("\x04\0\0\0\x14\0\0\0\x03\0\0\0GNU\0", 16));
    if (note == std::string::npos) throw std::runtime_error("the plug-in has no build-id");
    all.replace(note + 16, 4, "made");
    all[note + 20] = ++builds;
    std::ofstream(fresh, std::ios::binary) << all;
    std::filesystem::rename(fresh, path_);
  }
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  static inline char builds = 0;
  std::string path_;
};

TEST_P(started, a_plugin_that_was_replaced_on_disk_is_refused_by_name_and_build) {
  copied_plugin copy;
  pool p(with(1));
  EXPECT_EQ(p.apply(square, 3), 9);
  void* plugin = ::dlopen(copy.path().c_str(), RTLD_NOW | RTLD_LOCAL);
  ASSERT_NE(plugin, nullptr) << ::dlerror();
  copy.replace();
  const auto refusal = thrown_by<procpool::serialization_error>(
      [&] { return p.apply(function_of<int(int)>(plugin, "plugin_triple"), 1); });
  EXPECT_THAT(refusal.what(), ::testing::HasSubstr(copy.path()));
  EXPECT_THAT(refusal.what(), ::testing::ContainsRegex("build-id [0-9a-f]{40}, the parent's has "
                                                       "[0-9a-f]{40}"));
  EXPECT_EQ(p.apply(square, 4), 16) << "the worker lives on";
  ::dlclose(plugin);
}

TEST_P(started, a_plugin_that_is_gone_from_disk_is_named) {
  void* plugin = nullptr;
  std::string path;
  pool p(with(1));
  EXPECT_EQ(p.apply(square, 3), 9);
  {
    const copied_plugin copy;
    path = copy.path();
    plugin = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    ASSERT_NE(plugin, nullptr) << ::dlerror();
  }
  const auto refusal = thrown_by<procpool::serialization_error>(
      [&] { return p.apply(function_of<int(int)>(plugin, "plugin_triple"), 1); });
  EXPECT_THAT(refusal.what(), ::testing::HasSubstr(path));
  ::dlclose(plugin);
}

// ---- ends

TEST_P(started, a_killed_worker_is_replaced) {
  pool p(with(1));
  const auto died = thrown_by<procpool::worker_died>([&] {
    return p.apply([] {
      ::raise(SIGKILL);
      return 0;
    });
  });
  EXPECT_EQ(died.signal(), SIGKILL);
  EXPECT_EQ(p.map(square, first(10)), squares(10));
}

TEST_P(started, a_killed_zygote_breaks_the_pool_and_says_so) {
  pool p(with(2));
  p.apply(square, 1);
  ::kill(the_zygote(), SIGKILL);
  EXPECT_THROW(for (;;) p.apply(square, 1), procpool::pool_broken);
  p.terminate();
  p.join();
  reap_orphans();
}

TEST_P(started, stdio_of_a_worker_is_flushed_at_its_end) {
  const board b;
  {
    pool p(with(1));
    p.apply(
        [](const marks& m) {
          static std::FILE* file = std::fopen((std::string(m.path.data()) + ".text").c_str(), "w");
          std::fputs("buffered", file);
        },
        b.here());
  }
  const std::string path = std::string(b.here().path.data()) + ".text";
  std::ifstream file(path);
  std::string text;
  file >> text;
  EXPECT_EQ(text, "buffered");
  std::filesystem::remove(path);
}

// ---- programs that cannot be executed again

std::string said_by(const std::string& name) {
  const auto program = std::filesystem::read_symlink("/proc/self/exe").parent_path() / name;
  std::FILE* out = ::popen((program.string() + " 2>&1").c_str(), "r");
  std::string all;
  std::array<char, 256> line{};
  while (std::fgets(line.data(), line.size(), out) != nullptr) all += line.data();
  EXPECT_EQ(::pclose(out), 0) << all;
  return all;
}

TEST(start_methods, without_init_the_constructor_says_what_to_write) {
  const std::string said = said_by("no_init");
  EXPECT_THAT(said, ::testing::HasSubstr("write procpool::init(argc, argv); as the first "
                                         "statement of main()"));
}

TEST(start_methods, init_with_other_words_ends_in_an_error_too) {
  const std::string said = said_by("late_init");
  EXPECT_THAT(said, ::testing::HasSubstr("procpool::init"));
}

TEST(start_methods, init_wants_what_main_was_given) {
  const char* none[] = {nullptr};
  EXPECT_THROW(procpool::init(0, none), std::invalid_argument);
  EXPECT_THROW(procpool::init(1, none), std::invalid_argument);
  EXPECT_THROW(procpool::init(1, nullptr), std::invalid_argument);
}

}  // namespace
