// SPDX-License-Identifier: MIT
// What the parent makes of the last words that a worker left in its window: whatever stands there,
// it is read inside its bounds, and nothing that the kernel knows better is believed.
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <memory>
#include <random>
#include <string>

#include "local/autopsy.h"
#include "shm/crash.h"

namespace procpool {
namespace {

using namespace std::chrono_literals;
using cause = worker_died::cause_type;

/// Memory that is as large as it says: a sanitizer sees every step beyond.
struct words {
  words() { shm::clear(*crash, *printed); }
  std::unique_ptr<shm::crash> crash{new shm::crash()};
  std::unique_ptr<shm::stderr_ring> printed{new shm::stderr_ring()};
  base::oom_watch nobody{"/no/such/file"};

  auto examined(int status) { return local::examine(77, status, {}, *crash, *printed, nobody); }
};

TEST(crash_report, of_nothing_is_empty) {
  words w;
  const auto known = w.examined(W_EXITCODE(0, SIGKILL));
  EXPECT_TRUE(known->stack.empty());
  EXPECT_TRUE(known->exception.empty());
  EXPECT_FALSE(known->cause);
  EXPECT_FALSE(known->fault_address);
  EXPECT_EQ(known->stderr_tail, "");
}

TEST(crash_report, holds_every_size_against_its_room) {
  words w;
  w.crash->signal = SIGSEGV;
  w.crash->frames = 0xffffffff;
  w.crash->type_size = 0xffffffff;
  w.crash->text_size = 0x80000001;
  std::memset(w.crash->type, 't', sizeof w.crash->type);
  std::memset(w.crash->text, 'x', sizeof w.crash->text);
  for (const std::uint64_t end : {std::uint64_t{1}, std::uint64_t{2048}, std::uint64_t{2049},
                                  ~std::uint64_t{0}, std::uint64_t{1} << 63}) {
    w.printed->end = end;
    const auto known = w.examined(W_EXITCODE(0, SIGSEGV));
    EXPECT_EQ(known->stack.size(), std::size(w.crash->stack));
    EXPECT_EQ(known->exception.type, std::string(256, 't'));
    EXPECT_EQ(known->exception.text, std::string(1024, 'x'));
    EXPECT_LE(known->stderr_tail.size(), 2048u);
  }
}

TEST(crash_report, of_any_bytes_is_something) {
  std::mt19937_64 random(1);
  for (int round = 0; round < 2000; ++round) {
    words w;
    const auto scribble = [&](auto& over) {
      auto* bytes = reinterpret_cast<unsigned char*>(&over);
      for (std::size_t i = 0; i < sizeof over; ++i) bytes[i] = static_cast<unsigned char>(random());
    };
    scribble(*w.crash);
    scribble(*w.printed);
    if (round % 2 == 0) w.crash->signal = SIGSEGV;
    const auto known = w.examined(W_EXITCODE(0, SIGSEGV));
    const worker_died e(77, W_EXITCODE(0, SIGSEGV), 3, known);
    EXPECT_EQ(e.signal(), SIGSEGV);
    EXPECT_LE(e.stack().size(), 64u);
    for (const char* c = e.what(); *c != '\0'; ++c) EXPECT_GE(static_cast<unsigned char>(*c), ' ');
    if (round % 100 == 0) {
      EXPECT_EQ(e.stack().frames().size(), e.stack().size());
    }
  }
}

// A worker cannot pass an exit off as a crash, nor one signal as another.
TEST(crash_report, that_contradicts_the_kernel_says_nothing_of_the_signal) {
  words w;
  w.crash->signal = SIGSEGV;
  w.crash->code = SEGV_MAPERR;
  w.crash->address = 0x10;
  w.crash->frames = 2;
  const auto left = w.examined(W_EXITCODE(3, 0));
  EXPECT_TRUE(left->stack.empty());
  EXPECT_FALSE(left->fault_address);
  const auto killed = w.examined(W_EXITCODE(0, SIGKILL));
  EXPECT_FALSE(killed->fault_address);
  EXPECT_EQ(worker_died(77, W_EXITCODE(0, SIGKILL), 0, killed).cause(), cause::killed);
  const auto crashed = w.examined(W_EXITCODE(0, SIGSEGV));
  EXPECT_EQ(crashed->fault_address, 0x10u);
  EXPECT_EQ(crashed->stack.size(), 2u);
}

TEST(crash_report, tells_who_sent_a_signal) {
  words w;
  w.crash->signal = SIGABRT;
  w.crash->code = SI_TKILL;
  w.crash->sender = 77;
  EXPECT_EQ(w.examined(W_EXITCODE(0, SIGABRT))->cause, cause::signalled);
  w.crash->code = SI_USER;
  w.crash->sender = 78;
  EXPECT_EQ(w.examined(W_EXITCODE(0, SIGABRT))->cause, cause::killed);
}

TEST(stderr_ring, keeps_the_last_bytes_however_they_come) {
  words w;
  std::string all;
  std::mt19937 random(2);
  for (int i = 0; i < 3000; ++i) {
    std::string piece(random() % (i % 100 == 0 ? 5000 : 40), 'a');
    for (char& c : piece) c = static_cast<char>('a' + random() % 26);
    all += piece;
    shm::append(*w.printed, piece.data(), piece.size());
    ASSERT_EQ(shm::read(*w.printed),
              all.substr(all.size() - std::min<std::size_t>(all.size(), 2048)));
  }
}

// ---- for want of memory -------------------------------------------------------------------------

class group {
 public:
  group() {
    path_ = ::testing::TempDir() + "procpool-group-XXXXXX";
    if (::mkdtemp(path_.data()) == nullptr) throw std::runtime_error("no folder");
    set(0);
  }
  group(const group&) = delete;
  group& operator=(const group&) = delete;
  ~group() {
    std::remove((path_ + "/memory.events").c_str());
    ::rmdir(path_.c_str());
  }
  void set(int kills) const {
    std::ofstream(path_ + "/memory.events")
        << "low 0\nhigh 0\nmax 5\noom 2\noom_kill " << kills << "\noom_group_kill 0\n";
  }
  [[nodiscard]] std::string counter() const { return path_ + "/memory.events"; }

 private:
  std::string path_;
};

TEST(oom_kills, is_the_line_of_that_name) {
  EXPECT_EQ(base::oom_kills("low 1\noom 2\noom_kill 3\noom_group_kill 4\n"), 3u);
  EXPECT_EQ(base::oom_kills("oom_kill 18446744073709551615"), ~std::uint64_t{0});
  for (const char* text : {"", "oom 1\n", "oom_kill", "oom_kill \n", "oom_kill x", "xoom_kill 1"})
    EXPECT_EQ(base::oom_kills(text), std::nullopt) << text;
}

TEST(oom_kills, of_cgroup_v1_too) {
  EXPECT_EQ(base::oom_kills("oom_kill_disable 0\nunder_oom 0\noom_kill 7\n"), 7u);
}

TEST(oom_watch, gives_each_kill_to_one_process) {
  const group g;
  g.set(4);
  base::oom_watch watch(g.counter());
  const auto now = std::chrono::steady_clock::now();
  EXPECT_FALSE(watch.claim(now));
  g.set(6);
  EXPECT_TRUE(watch.claim(now));
  EXPECT_TRUE(watch.claim(now));
  EXPECT_FALSE(watch.claim(now));
  g.set(8);
  EXPECT_TRUE(watch.claim(now));
  EXPECT_FALSE(watch.claim(now + 2s)) << "that was somebody else's";
}

TEST(oom_watch, without_a_counter_claims_nothing) {
  base::oom_watch watch("/no/such/file");
  EXPECT_FALSE(watch.claim());
}

TEST(crash_report, of_a_process_killed_for_want_of_memory_says_so) {
  const group g;
  base::oom_watch watch(g.counter());
  words w;
  g.set(1);
  const auto dead = [&](int status) {
    return worker_died(77, status, 4, local::examine(77, status, {}, *w.crash, *w.printed, watch));
  };
  EXPECT_EQ(dead(W_EXITCODE(0, SIGTERM)).cause(), cause::killed) << "the kernel sends SIGKILL";
  const auto e = dead(W_EXITCODE(0, SIGKILL));
  EXPECT_EQ(e.cause(), cause::out_of_memory);
  EXPECT_STREQ(e.what(),
               "procpool: worker 77 was killed by signal 9 (SIGKILL) while running item 4: out of "
               "memory");
  EXPECT_EQ(dead(W_EXITCODE(0, SIGKILL)).cause(), cause::killed);
}

}  // namespace
}  // namespace procpool
