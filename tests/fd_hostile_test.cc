// SPDX-License-Identifier: MIT
// A worker that asks for descriptors as no worker does, in a pool at work: it gets none that it
// does not hold, its own item comes to what it made of it, the others have their results, and the
// parent neither waits for it nor keeps itself busy with it.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "base/fd.h"
#include "base/sys.h"
#include "procpool/procpool.h"
#include "shm/layout.h"
#include "shm/ring.h"
#include "support/fork_test.h"

namespace procpool {
namespace {

using namespace testing;  // NOLINT: this file is about what stands there
using namespace std::chrono_literals;

class fd_hostile : public process_test {};
PROCPOOL_PROCESS_METHODS(fd_hostile);

// ---- in the worker ------------------------------------------------------------------------------

shm::window& own_window() {
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);)
    if (line.find("/memfd:procpool") != std::string::npos && line.find(" rw-s ") != line.npos)
      return *reinterpret_cast<shm::window*>(std::stoull(line, nullptr, 16));
  throw std::runtime_error("no window");
}
/// The worker's own descriptor whose name in /proc begins so.
int descriptor_like(std::string_view name) {
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    std::error_code gone;
    const int number = std::stoi(entry.path().filename().string());
    int type = 0;
    socklen_t size = sizeof type;
    if (!std::filesystem::read_symlink(entry.path(), gone).string().starts_with(name)) continue;
    if (name == "socket:" &&
        (::getsockopt(number, SOL_SOCKET, SO_TYPE, &type, &size) != 0 || type != SOCK_SEQPACKET))
      continue;
    return number;
  }
  throw std::runtime_error("no descriptor");
}

class asker {
 public:
  /// The ring index of the task at hand: its item runs.
  [[nodiscard]] std::uint32_t index() const {
    for (std::uint32_t i = 0; i < shm::ring_slots; ++i) {
      const std::uint32_t lap = shm::task_word::from(own_.tasks[i].word.load()).lap;
      // Lap 0: of the worker before, which died under it.
      if (lap != 0 && own_.replies[i].progress.load() % 2 != 0)
        return (lap - 1) * shm::ring_slots + i;
    }
    throw std::runtime_error("no task");
  }
  void ask(std::uint32_t at, std::uint32_t number) {
    own_.wanted.index = at;
    own_.wanted.number = number;
    own_.wanted.serial.store(++serial_);
  }
  void ring() const {
    const std::uint64_t one = 1;
    static_cast<void>(!::write(bell_, &one, sizeof one));
  }
  /// What comes back: its error; whether a descriptor came with it.
  [[nodiscard]] std::pair<int, bool> answer() const {
    shm::descriptor_answer a{};
    int along = -1;
    while (sys::recv(line_, &a, sizeof a, 0, {&along, 1}) == sizeof a) {
      const base::fd got(along);
      if (a.serial == serial_) return {a.error, static_cast<bool>(got)};
    }
    return {-1, false};
  }

 private:
  shm::window& own_ = own_window();
  int bell_ = descriptor_like("anon_inode:[eventfd]");
  int line_ = descriptor_like("socket:");
  std::uint32_t serial_ = 1000;
};

// ---- in the parent ------------------------------------------------------------------------------

fd some_file() { return fd(::memfd_create("a test's", MFD_CLOEXEC)); }
std::vector<fd> some_files(int n) {
  std::vector<fd> all;
  for (int i = 0; i < n; ++i) all.push_back(some_file());
  return all;
}

std::chrono::microseconds own_cpu_time() {
  rusage used{};
  ::getrusage(RUSAGE_SELF, &used);
  return std::chrono::seconds(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
         std::chrono::microseconds(used.ru_utime.tv_usec + used.ru_stime.tv_usec);
}

/// One hostile item, with so many descriptors, among items that others run.
template <class Hostile>
void among_honest_ones(pool& p, int attached, Hostile hostile) {
  auto honest = p.map_async(
      {.chunksize = 1}, [](int x, const fd& f) { return f ? x : -1; }, numbers(0, 50),
      some_files(50));
  EXPECT_THROW(p.apply({.timeout = 20s}, hostile, some_files(attached)), worker_died);
  EXPECT_EQ(honest.get(), numbers(0, 50));
  EXPECT_EQ(p.apply([](const fd& f) { return static_cast<bool>(f); }, some_file()), true);
}

TEST_P(fd_hostile, numbers_that_are_not_there_are_answered_with_nothing) {
  pool p(of(1));
  for (const std::uint32_t number : {1U, 2U, 1000U, ~0U}) {
    const auto ask = [number](const fd&) {
      asker me;
      me.ask(me.index(), number);
      me.ring();
      return me.answer();
    };
    // One is left to be asked for when the task has asked for its own: none.
    EXPECT_THROW(p.apply({.timeout = 20s}, ask, some_file()), worker_died) << number;
    const auto ask_early = [number](const std::vector<fd>&, int) {
      asker me;
      me.ask(me.index(), number + 100);
      me.ring();
      return me.answer();
    };
    // Of two items in a chunk the second's has not been asked for when the first asks.
    std::vector<std::vector<fd>> two(2);
    two[1].push_back(some_file());
    const auto all = p.try_map({.chunksize = 2, .timeout = 20s}, ask_early, two, numbers(0, 2));
    EXPECT_EQ(all[0].value(), std::pair(ENOENT, false)) << number;
    EXPECT_THROW(all[1].value(), worker_died);
  }
}

TEST_P(fd_hostile, tasks_that_it_does_not_hold_are_the_end_of_it) {
  pool p(of(2));
  // Close to the item at hand are tasks that it holds, for all that the parent has seen.
  for (const std::uint32_t off : {256U, 0U - 300U})
    among_honest_ones(p, 1, [off](const std::vector<fd>&) {
      asker me;
      me.ask(me.index() + off, 0);
      me.ring();
      return me.answer();
    });
}

TEST_P(fd_hostile, what_it_asks_for_again_and_again_without_reading_ends_it) {
  pool p(of(2));
  for (const int attached : {1, 400})
    among_honest_ones(p, attached, [](const std::vector<fd>&) {
      asker me;
      for (const std::uint32_t at = me.index();;) {
        me.ask(at, 0);
        me.ring();
      }
    });
}

TEST_P(fd_hostile, what_it_asks_for_where_it_holds_nothing_costs_the_parent_nothing) {
  const auto scribble = [] {
    shm::window& own = own_window();
    for (const auto end = steady::now() + 300ms; steady::now() < end;) ++own.wanted.serial;
    return 1;
  };
  pool_options o = of(1);
  o.initializer = task(scribble);
  const auto before = own_cpu_time();
  pool p(o);
  EXPECT_EQ(p.apply(scribble), 1);
  EXPECT_LT(own_cpu_time() - before, 200ms);
}

}  // namespace
}  // namespace procpool
