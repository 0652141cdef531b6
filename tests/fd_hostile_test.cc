// SPDX-License-Identifier: MIT
// A worker that asks for descriptors as no worker does, in a pool at work: it gets none that it
// does not hold, its own item comes to what it made of it, the others have their results, and the
// parent neither waits for it nor keeps itself busy with it.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
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
  /// In the name of the task at hand: its item runs.
  asker() {
    for (std::uint32_t i = 0; i < shm::ring_slots; ++i) {
      const std::uint32_t lap = shm::task_word::from(own_.tasks[i].word.load()).lap;
      // Lap 0: of the worker before, which died under it.
      if (lap == 0 || own_.replies[i].progress.load() % 2 == 0) continue;
      lap_ = lap;
      slot_ = &own_.replies[i];
      return;
    }
    throw std::runtime_error("no task");
  }
  void ask(std::uint32_t number) {
    slot_->wanted = number;
    serial_ = serial_ % 0xffff + 1;
    slot_->word = serial_ << 16 | lap_;
  }
  void take_back() { slot_->word = 0; }
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
  std::uint32_t lap_ = 0;
  shm::reply_slot* slot_ = nullptr;
  std::uint32_t serial_ = 1000;
};

// ---- in the parent ------------------------------------------------------------------------------

fd some_file() { return fd(::memfd_create("a test's", MFD_CLOEXEC)); }
std::vector<fd> some_files(int n) {
  std::vector<fd> all;
  for (int i = 0; i < n; ++i) all.push_back(some_file());
  return all;
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
      me.ask(number);
      me.ring();
      return me.answer();
    };
    EXPECT_EQ(p.apply({.timeout = 20s}, ask, some_file()), std::pair(ENOENT, false)) << number;
  }
}

TEST_P(fd_hostile, what_it_asks_for_where_nothing_is_attached_ends_it) {
  pool p(of(2));
  auto honest = p.map_async(
      {.chunksize = 1}, [](int x) { return x; }, numbers(0, 50));
  const auto ask = [] {
    asker me;
    me.ask(0);
    me.ring();
    return me.answer();
  };
  EXPECT_THROW(p.apply({.timeout = 20s}, ask), worker_died);
  EXPECT_EQ(honest.get(), numbers(0, 50));
}

TEST_P(fd_hostile, what_it_asks_for_again_and_again_without_reading_ends_it) {
  pool p(of(2));
  for (const int attached : {1, 400})
    among_honest_ones(p, attached, [](const std::vector<fd>&) {
      asker me;
      for (;;) {
        me.ask(0);
        me.ring();
      }
    });
}

TEST_P(fd_hostile, what_it_says_that_it_asks_for_and_does_not_ends_it) {
  pool p(of(2));
  among_honest_ones(p, 3, [](const std::vector<fd>&) {
    asker me;
    for (;;) {
      me.ask(0);
      me.ring();
      me.take_back();
    }
  });
}

}  // namespace
}  // namespace procpool
