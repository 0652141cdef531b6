// SPDX-License-Identifier: MIT
// A hostile worker in a pool at work: a task that writes over every word its worker can reach, its
// rings and its results, while the parent reads them. What the pool had sent that worker may come
// to anything; the parent goes on, every item that another worker ran has exactly its own result,
// and the pool ends when it is told to.
//
// channel_hostile_test.cc and fuzz/channel.cc have the same of the parent's half of a channel
// alone.
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <random>
#include <set>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "procpool/procpool.h"
#include "shm/layout.h"
#include "shm/ring.h"
#include "support/fork_test.h"

namespace procpool {
namespace {

using namespace testing;  // NOLINT: this file is about what stands there
using testing::shared;    // not the handle

/// A few seconds of them; where each worker is an execution of its own, they are slower.
std::uint32_t seeds_for(start_method method) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  constexpr std::uint32_t all = 12;
#else
  constexpr std::uint32_t all = 40;
#endif
  return method == start_method::spawn ? all / 3 : all;
}

// ---- the ledger: what the test and its workers share, and no hostile word reaches ---------------

constexpr std::size_t windows_found = 0;  // that were not one
constexpr std::size_t begun = 1;          // hostile calls, by their number
constexpr std::size_t hostile_pid = 8;    // and who made them
constexpr std::size_t first_pid = 1024;   // that began honest item i
constexpr std::size_t runs = 2048;        // of item i

// ---- the hostile worker -------------------------------------------------------------------------

/// The memory of the pool's that this worker can write to: its window and no other.
std::span<std::byte> reach() {
  constexpr std::size_t results = 1 << 20;  // of what follows the window: each page is memory
  std::span<std::byte> found;
  int count = 0;
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    if (line.find("/memfd:procpool") == std::string::npos) continue;
    if (line.find(" rw-s ") == std::string::npos) continue;
    std::size_t end = 0;
    const std::uintptr_t from = std::stoull(line, &end, 16);
    const std::uintptr_t to = std::stoull(line.substr(end + 1), nullptr, 16);
    found = {reinterpret_cast<std::byte*>(from),
             std::min<std::size_t>(to - from, shm::results_at + results)};
    ++count;
  }
  if (count != 1) ++shared[windows_found];
  return found;
}

class scribbler {
 public:
  explicit scribbler(std::uint32_t seed)
      : random_(seed), all_(reach()), own_(*reinterpret_cast<shm::window*>(all_.data())) {}

  void write() {
    // The slots in use, those to come, and the lap they have then.
    const std::uint32_t index = first_ + below(8) + (below(8) == 0 ? shm::ring_slots : 0);
    const std::uint32_t i = index % shm::ring_slots;
    shm::reply_slot& r = own_.replies[i];
    switch (below(8)) {
      case 0:
        return r.word.store(shm::lap_of(index));
      case 1:
        return r.progress.store(below(20));
      case 2:
        r.written = number();
        r.place = number();
        return;
      case 3:
        r.ending = below(4);
        r.nanoseconds = number();
        r.since = number();
        return;
      case 4:
        return own_.tasks[i].word.store(
            shm::task_word{shm::lap_of(index), below(10), below(10)}.bits());
      case 5:  // a whole answer
        r.progress = 2 * below(10);
        r.written = below(256);
        r.place = below(2) == 0 ? shm::in_slot : 4096 * below(8);
        r.ending = below(3);
        return r.word.store(shm::lap_of(index));
      case 6:  // bell, asleep, cpu, start, state, gate, asked, dropped, held, woke_*
        return store(4 * below(14), static_cast<std::uint32_t>(number()));
      default: {
        const std::size_t size = below(2) == 0 ? shm::results_at : all_.size();
        const std::size_t at = 8 * below(static_cast<std::uint32_t>(size / 8));
        if (below(2) == 0) return store(at, number());
        return store(at + 4 * below(2), static_cast<std::uint32_t>(number()));
      }
    }
  }
  void write_for(std::chrono::microseconds time) {
    for (const auto end = steady::now() + time; steady::now() < end;)
      for (int i = 0; i < 64; ++i) write();
  }

 private:
  std::uint32_t below(std::uint32_t end) { return static_cast<std::uint32_t>(random_()) % end; }
  std::uint64_t number() {
    switch (below(5)) {
      case 0:
        return below(64);
      case 1:
        return 4096 * std::uint64_t{below(64)};
      case 2:
        return ~std::uint64_t{0};
      case 3:
        return random_() >> 40;
      default:
        return random_();
    }
  }
  template <class T>
  void store(std::size_t at, T value) {
    std::atomic_ref<T>(*reinterpret_cast<T*>(all_.data() + at))
        .store(value, std::memory_order_relaxed);
  }

  std::mt19937_64 random_;
  std::span<std::byte> all_;
  shm::window& own_;
  std::uint32_t first_ = own_.start;
};

constexpr std::uint32_t quota = 20;

enum class ending { dies, throws, returns, returns_writing, never_ends };

struct attack {
  std::size_t number;
  std::uint32_t seed;
  ending how;
  int microseconds;
};

/// Whatever becomes of this process, it ends soon, without a core file and without a word.
void end_soon() {
  const itimerval soon{{0, 0}, {0, 60'000}};
  ::signal(SIGALRM, SIG_DFL);
  ::setitimer(ITIMER_REAL, &soon, nullptr);
  const rlimit none{0, 0};
  ::setrlimit(RLIMIT_CORE, &none);
  static_cast<void>(!std::freopen("/dev/null", "w", stderr));
}

void make(const attack& a) {
  // The parent was told that it had not begun, and sends it again.
  if (shared[begun + a.number]++ != 0) return;
  end_soon();
  shared[hostile_pid + a.number] = ::getpid();
  scribbler s(a.seed);
  s.write_for(std::chrono::microseconds(a.microseconds));
  switch (a.how) {
    case ending::dies:
      ::kill(::getpid(), SIGKILL);
      break;
    case ending::throws:
      throw std::runtime_error("so there");
    case ending::returns_writing:
      std::thread([s]() mutable {
        for (;;) s.write();
      }).detach();
      break;
    case ending::never_ends:
      for (;;) s.write();
    case ending::returns:
      break;
  }
}
int hostile_number(attack a) {
  make(a);
  return 3;
}
std::vector<std::string> hostile_words(attack a) {
  make(a);
  return {"three", std::string(500, 'x'), ""};
}
/// With its last item a worker publishes the answers of the one that will take its place.
pid_t write_ahead(std::uint32_t item) {
  auto& own = *reinterpret_cast<shm::window*>(reach().data());
  if (item % quota == quota - 1)
    for (std::uint32_t index = own.start + quota; index < own.start + 2 * quota; ++index)
      own.replies[index % shm::ring_slots].word = shm::lap_of(index);
  return ::getpid();
}
int hostile_item(attack a, int item) {
  if (item == 1) make(a);
  return item;
}

// ---- the honest ones ----------------------------------------------------------------------------

std::string right(int i) {
  return std::to_string(i) + std::string(static_cast<std::size_t>(i * 37 % 3000), 'x');
}
std::string honest(int i) {
  int nobody = 0;
  shared[first_pid + static_cast<std::size_t>(i)].compare_exchange_strong(nobody, ::getpid());
  ++shared[runs + static_cast<std::size_t>(i)];
  ::usleep(50);
  return right(i);
}

// ---- the test -----------------------------------------------------------------------------------

/// Its own bytes may be anything, and are all looked at.
template <class Result>
void look_at(Result& r) {
  try {
    static_cast<void>(r.get());
  } catch (const worker_died& e) {
    EXPECT_NE(std::string(e.what()), "");
    static_cast<void>(e.stack().to_string());
  } catch (const std::exception& e) {
    EXPECT_NE(e.what(), nullptr);
  } catch (...) {  // a nested one, alone
  }
}

class hostile_pool : public process_test {
 protected:
  static constexpr int attacks = 3;

  void SetUp() override {
    for (std::size_t i = 0; i < shared_counters; ++i) shared[i] = 0;
    next_ = 0;
  }
  void TearDown() override {
    EXPECT_EQ(shared[windows_found].load(), 0) << "a worker can write to one window, its own";
    process_test::TearDown();
  }

  /// So many items; those that a hostile worker neither ran nor answered have their results.
  void work(pool& p, int n) {
    const auto items = numbers(next_, n);
    next_ += n;
    const auto all = p.try_map({.chunksize = 1 + static_cast<std::size_t>(n) % 5}, honest, items);
    ASSERT_EQ(all.size(), items.size());
    for (std::size_t k = 0; k < all.size(); ++k) {
      const auto i = static_cast<std::size_t>(items[k]);
      // Never begun: the worker that said otherwise is hostile.
      if (const pid_t pid = shared[first_pid + i]; pid == 0 || is_hostile(pid)) continue;
      ++judged_;
      EXPECT_EQ(shared[runs + i].load(), 1);
      ASSERT_TRUE(static_cast<bool>(all[k])) << "item " << items[k];
      EXPECT_EQ(*all[k], right(items[k]));
    }
    sent_ += n;
  }
  /// No worker is hostile any more: all of it is right.
  void work_alone(pool& p, int n) {
    const auto items = numbers(next_, n);
    next_ += n;
    const auto all = p.map(honest, items);
    for (std::size_t k = 0; k < all.size(); ++k) EXPECT_EQ(all[k], right(items[k]));
  }
  static int begun_attacks() {
    int all = 0;
    for (std::size_t a = 0; a < attacks; ++a) all += shared[begun + a];
    return all;
  }
  static bool is_hostile(pid_t pid) {
    for (std::size_t a = 0; a < attacks; ++a)
      if (shared[hostile_pid + a] == pid) return true;
    return false;
  }
  static bool hostile_ones_are_gone() {
    for (std::size_t a = 0; a < attacks; ++a)
      if (const pid_t pid = shared[hostile_pid + a]; pid != 0 && is_alive(pid)) return false;
    return true;
  }

  int judged_ = 0;
  int sent_ = 0;

 private:
  int next_ = 0;
};
PROCPOOL_PROCESS_METHODS(hostile_pool);

TEST_P(hostile_pool, harms_nothing_but_what_it_was_sent) {
  const std::uint32_t seeds = seeds_for(GetParam());
  for (std::uint32_t seed = 1; seed <= seeds; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    now_trying("seed " + std::to_string(seed), seconds(60));
    SetUp();
    std::mt19937 random(seed);
    const auto plan = [&](std::size_t number) {
      return attack{number, static_cast<std::uint32_t>(random()), static_cast<ending>(random() % 5),
                    static_cast<int>(random() % 4000)};
    };
    const task_options limits[] = {
        {}, {.timeout = milliseconds(10)}, {.deadline = milliseconds(20)}};
    pool_options options = of(4);
    options.max_tasks_per_child = std::vector{0, 0, 1, 3}[random() % 4];
    if (random() % 4 == 0) options.stop_steps.token_grace = milliseconds(5);
    pool p(options);
    work_alone(p, static_cast<int>(random() % 20));

    auto number = p.apply_async(limits[random() % 3], hostile_number, plan(0));
    auto words = p.apply_async(limits[random() % 3], hostile_words, plan(1));
    task_options many = limits[random() % 3];
    many.chunksize = 4;
    auto items = p.map_async(many, bind(hostile_item, plan(2)), numbers(0, 8));
    // The first to begin may answer for the others.
    const auto at_work = [&] {
      return begun_attacks() != 0 || (number.ready() && words.ready() && items.ready());
    };
    ASSERT_TRUE(eventually(at_work, seconds(30)));
    work(p, 40);
    if (random() % 3 == 0) words.cancel();
    work(p, 40);

    const bool early = random() % 3 == 0;  // the pool ends under their hands
    if (!early) {
      EXPECT_TRUE(number.wait_for(seconds(30)));
      EXPECT_TRUE(words.wait_for(seconds(30)));
      EXPECT_TRUE(items.wait_for(seconds(30)));
      EXPECT_TRUE(eventually(hostile_ones_are_gone));
      work_alone(p, 40);
    }
    if (random() % 2 == 0)
      p.close();
    else
      p.terminate();
    EXPECT_TRUE(p.join_for(seconds(30)));
    look_at(number);
    look_at(words);
    look_at(items);
    if (HasFailure()) return;
  }
  // Else it has shown nothing.
  EXPECT_GE(judged_, sent_ / 2);
}

TEST_P(hostile_pool, does_not_answer_for_the_worker_that_takes_its_place) {
  pool_options options = of(1);
  options.max_tasks_per_child = quota;
  pool p(options);
  std::set<pid_t> workers;
  for (std::uint32_t item = 0; item < 5 * quota; ++item) workers.insert(p.apply(write_ahead, item));
  EXPECT_EQ(workers.size(), 5U) << "each has done all it is for";
}

/// In a worker that leaves: every answer there could be stands in its window, and more.
void answer_all() {
  const auto all = reach();
  auto& own = *reinterpret_cast<shm::window*>(all.data());
  const std::uint32_t now = own.start;
  for (std::uint32_t i = 0; i < shm::ring_slots; ++i)
    own.replies[i].word.store(shm::lap_of(now - now % shm::ring_slots + i));
}

TEST_P(hostile_pool, costs_nothing_when_it_has_gone_and_nobody_takes_its_place) {
  pool_options options = of(2);
  options.finalizer = task(answer_all);
  pool p(options);
  p.map(
      {.chunksize = 1}, [](int x) { return x; }, numbers(0, 50));
  const auto first = the_workers();
  p.resize(1);
  ASSERT_TRUE(eventually([&] { return the_workers().size() == 1; }));
  const auto cpu = [] {
    timespec t{};
    ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return std::chrono::seconds(t.tv_sec) + std::chrono::nanoseconds(t.tv_nsec);
  };
  // What is measured is what an idle pool costs in that time.
  const auto before = cpu();
  ::usleep(300'000);
  EXPECT_LT(cpu() - before, std::chrono::milliseconds(100));
}

}  // namespace
}  // namespace procpool
