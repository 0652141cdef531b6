// SPDX-License-Identifier: MIT
// Chaos with a ledger: pools under mixed load from several threads, resized, shrinking when idle
// and replacing their old, while their workers, and now and then their zygote, are killed, stopped
// and continued at random. Every item must have one outcome, none may be begun more often than it
// may be, nothing may hang or be left behind.
//
//   soak [SECONDS [SEED]]      prints what it did; ends with 1 when anything was not so
//
// A round is one pool's life. Items have numbers; a ledger in shared memory counts how often each
// was begun, in whatever process.
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <fstream>
#include <mutex>
#include <optional>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "procpool/procpool.h"
#include "support/census.h"
#include "support/fork_test.h"

namespace {

using namespace std::chrono_literals;
using procpool::pool;
using procpool::stop_steps;
using procpool::task_options;
using procpool::testing::shared;  // the ledger: begun[item]
using clock = std::chrono::steady_clock;

constexpr int ledger_size = static_cast<int>(procpool::testing::shared_counters);
constexpr std::size_t large = 20 << 20;

// ---- what the items do --------------------------------------------------------------------------

void begin(int item) { ++shared[static_cast<std::size_t>(item)]; }

int tiny(int item) {
  begin(item);
  return 3 * item;
}
/// Now and then one that takes a thousand times as long.
int mostly_tiny(int item) {
  begin(item);
  if (item % 211 == 0) ::usleep(2000);
  return 3 * item;
}
std::string some_text(int item) {
  begin(item);
  return std::string(static_cast<std::size_t>(item % 5000), 'a') + std::to_string(item);
}
std::vector<int> bulk(int item) {
  begin(item);
  return std::vector<int>(large / sizeof(int), item);
}
int of_vector(const procpool::shared_vector<int>& v, int item) {
  begin(item);
  for (int x : v)
    if (x != item) return -1;
  return 3 * item;
}
procpool::shared_vector<int> to_vector(int item) {
  begin(item);
  auto v = procpool::this_worker::allocate<int>(static_cast<std::size_t>(1 + item % 100'000));
  std::fill(v.begin(), v.end(), item);
  return v;
}
int of_file(const procpool::fd& file, int item) {
  begin(item);
  int read = 0;
  return ::pread(file.get(), &read, sizeof read, 0) == sizeof read ? 3 * read : -1;
}
/// Some hang, some obey, some end by themselves at about the limit.
int any_length(int item) {
  begin(item);
  switch (item % 16) {
    case 3:
      for (;;) ::usleep(1000);
    case 5:
    case 11:
      while (!procpool::this_worker::stop_requested()) ::usleep(50);
      break;
    default:
      ::usleep(static_cast<useconds_t>(item * 97 % 1500));
  }
  return 3 * item;
}

// ---- the ledger ---------------------------------------------------------------------------------

struct tally {
  std::atomic<std::uint64_t> rounds{0}, items{0}, values{0}, died{0}, timed_out{0}, cancelled{0},
      ended{0}, resizes{0}, kills{0}, stops{0}, zygotes{0}, zygotes_stopped{0}, lost{0}, doubled{0},
      wrong{0}, leaked{0};
} sums;
std::mutex said;

void complain(const std::string& what) {
  const std::lock_guard hold(said);
  std::fprintf(stderr, "soak: %s\n", what.c_str());
}

/// Items of a round, given out once each.
class numbers {
 public:
  /// The first of n; -1 when the ledger is full.
  int take(int n) {
    const int first = next_.fetch_add(n);
    return first + n <= ledger_size ? first : -1;
  }
  [[nodiscard]] int taken() const { return std::min(next_.load(), ledger_size); }

 private:
  std::atomic<int> next_{0};
};

/// Judges one item: `get` gives its value, which `right` is asked about.
template <class Get, class Right>
void judge(int item, int may_begin, Get get, Right right) {
  ++sums.items;
  bool value = false;
  try {
    value = right(get());
    if (!value) ++sums.wrong, complain("item " + std::to_string(item) + " has a wrong value");
    ++sums.values;
  } catch (const procpool::worker_died&) {
    ++sums.died;
  } catch (const procpool::task_timeout&) {
    ++sums.timed_out;
  } catch (const procpool::task_cancelled&) {
    ++sums.cancelled;
  } catch (const procpool::pool_broken&) {
    ++sums.ended;
  } catch (const procpool::pool_terminated&) {
    ++sums.ended;
  } catch (const procpool::pool_closed&) {  // a stream's, of what it had not submitted
    ++sums.ended;
  } catch (const std::exception& e) {
    ++sums.wrong;
    complain("item " + std::to_string(item) + ": " + e.what());
  }
  const int begun = shared[static_cast<std::size_t>(item)].load();
  if (begun > may_begin)
    ++sums.doubled,
        complain("item " + std::to_string(item) + " was begun " + std::to_string(begun) + " times");
  if (value && begun == 0)
    ++sums.lost, complain("item " + std::to_string(item) + " has a value and was never begun");
}

template <class Outcomes, class Right>
void judge_all(const Outcomes& all, int first, int n, int may_begin, Right right) {
  if (all.size() != static_cast<std::size_t>(n)) {
    ++sums.lost;
    complain("outcomes are missing");
    return;
  }
  for (int i = 0; i < n; ++i)
    judge(
        first + i, may_begin,
        [&]() -> decltype(auto) { return all[static_cast<std::size_t>(i)].value(); },
        [&](const auto& v) { return right(v, first + i); });
}

/// Results that lie in their workers' memory, kept for longer than those live.
class keepsakes {
 public:
  using vectors = std::vector<procpool::outcome<procpool::shared_vector<int>>>;

  static bool right(const procpool::shared_vector<int>& v, int item) {
    return v.size() == static_cast<std::size_t>(1 + item % 100'000) &&
           std::all_of(v.begin(), v.end(), [item](int x) { return x == item; });
  }
  void keep(vectors& all, int first) {
    for (std::size_t i = 0; i < all.size(); ++i)
      if (all[i]) kept_.emplace_back(first + static_cast<int>(i), std::move(*all[i]));
    while (kept_.size() > 20) {
      const auto& [item, v] = kept_.front();
      if (!right(v, item))
        ++sums.wrong, complain("item " + std::to_string(item) + " has changed since");
      kept_.pop_front();
    }
  }

 private:
  std::deque<std::pair<int, procpool::shared_vector<int>>> kept_;
};

procpool::fd file_with(int number) {
  procpool::fd file(::memfd_create("soak", MFD_CLOEXEC));
  if (::write(file.get(), &number, sizeof number) != sizeof number)
    throw std::runtime_error("soak: no memory for a file");
  return file;
}

// ---- the load -----------------------------------------------------------------------------------

void load(pool& p, numbers& ledger, std::uint32_t seed, const std::atomic<bool>& over) {
  std::minstd_rand random(seed);
  const auto right_number = [](int v, int item) { return v == 3 * item; };
  keepsakes kept;
  // A pool that is broken or terminated takes no more.
  try {
    while (!over) {
      switch (random() % 11) {
        case 0: {
          constexpr int n = 200;
          if (const int first = ledger.take(n); first >= 0)
            judge_all(
                p.try_map({.chunksize = random() % 40}, tiny, procpool::testing::numbers(first, n)),
                first, n, 1, right_number);
          break;
        }
        case 1: {
          constexpr int n = 20;
          if (const int first = ledger.take(n); first >= 0)
            judge_all(p.try_map({.chunksize = 3}, some_text, procpool::testing::numbers(first, n)),
                      first, n, 1, [](const std::string& v, int item) {
                        return v.ends_with(std::to_string(item));
                      });
          break;
        }
        case 2: {
          if (const int first = ledger.take(1); first >= 0)
            judge_all(p.try_map({.chunksize = 1}, bulk, procpool::testing::numbers(first, 1)),
                      first, 1, 1, [](const std::vector<int>& v, int item) {
                        return v.size() == large / sizeof(int) && v.front() == item &&
                               v.back() == item;
                      });
          break;
        }
        case 3: {
          constexpr int n = 32;
          const task_options limits{
              .chunksize = 1 + random() % 8,
              .timeout = 2ms,
              .stop_steps = stop_steps{.token_grace = std::chrono::milliseconds(random() % 3)}};
          if (const int first = ledger.take(n); first >= 0)
            judge_all(p.try_map(limits, any_length, procpool::testing::numbers(first, n)), first, n,
                      1, right_number);
          break;
        }
        case 4: {  // run again
          constexpr int n = 32;
          const task_options limits{.chunksize = 4, .timeout = 3ms, .retries = 2};
          if (const int first = ledger.take(n); first >= 0)
            judge_all(p.try_map(limits, any_length, procpool::testing::numbers(first, n)), first, n,
                      3, right_number);
          break;
        }
        case 5: {  // cancelled at some point
          constexpr int n = 16;
          const int first = ledger.take(n);
          if (first < 0) break;
          std::vector<procpool::async_result<int>> all;
          for (int i = 0; i < n; ++i)
            // A deadline: what waits to be cancelled may keep this thread from its room meanwhile.
            all.push_back(
                p.apply_async({.deadline = 5s, .stop_steps = stop_steps{}}, any_length, first + i));
          ::usleep(static_cast<useconds_t>(random() % 2000));
          for (auto& r : all) r.cancel();
          for (int i = 0; i < n; ++i)
            judge(
                first + i, 1, [&] { return all[static_cast<std::size_t>(i)].get(); },
                [&](int v) { return v == 3 * (first + i); });
          break;
        }
        case 6: {  // results that are not copied
          constexpr int n = 10;
          const int first = ledger.take(n);
          if (first < 0) break;
          auto all = p.try_map({.chunksize = 1 + random() % 4}, to_vector,
                               procpool::testing::numbers(first, n));
          judge_all(all, first, n, 1, keepsakes::right);
          kept.keep(all, first);
          break;
        }
        case 7: {  // arguments that are not copied
          const int item = ledger.take(1);
          if (item < 0) break;
          auto v = p.allocate<int>(1 + random() % 100'000);
          std::fill(v.begin(), v.end(), item);
          auto result = p.apply_async({.retries = 1}, of_vector, std::move(v), item);
          judge(
              item, 2, [&] { return result.get(); }, [&](int r) { return r == 3 * item; });
          break;
        }
        case 8: {  // open files
          constexpr int n = 10;
          const int first = ledger.take(n);
          if (first < 0) break;
          std::vector<procpool::fd> files;
          for (int i = 0; i < n; ++i) files.push_back(file_with(first + i));
          judge_all(p.try_map({.chunksize = 1 + random() % 4, .retries = 1}, of_file, files,
                              procpool::testing::numbers(first, n)),
                    first, n, 2, right_number);
          break;
        }
        case 9: {  // many calls, one right after the other
          constexpr int n = 300;
          const int first = ledger.take(n);
          if (first < 0) break;
          std::vector<procpool::async_result<int>> all;
          for (int i = 0; i < n; ++i) {
            all.push_back(p.apply_async(mostly_tiny, first + i));
            if (random() % 64 == 0) all[random() % all.size()].cancel();
          }
          for (int i = 0; i < n; ++i)
            judge(
                first + i, 1, [&] { return all[static_cast<std::size_t>(i)].get(); },
                [&](int v) { return v == 3 * (first + i); });
          break;
        }
        default: {  // a stream, left early at times
          constexpr int n = 100;
          const int first = ledger.take(n);
          if (first < 0) break;
          const int wanted = random() % 3 == 0 ? n / 2 : n;
          auto stream =
              p.imap({.chunksize = 1 + random() % 5}, tiny, procpool::testing::numbers(first, n));
          for (int i = 0; i < wanted; ++i) {
            std::optional<int> value;
            bool ended = false;
            judge(
                first + i, 1,
                [&] {
                  value = stream.next();
                  if (!(ended = !value)) return *value;
                  throw procpool::pool_terminated();
                },
                [&](int v) { return v == 3 * (first + i); });
            if (!ended) continue;
            // Nothing comes any more: then there is no pool any more, which this finds.
            p.apply([] {});
            ++sums.lost;
            complain("a stream ended early");
            break;
          }
        }
      }
      if (ledger.taken() == ledger_size) return;
    }
  } catch (const procpool::pool_broken&) {
  } catch (const procpool::pool_closed&) {
  } catch (const procpool::pool_terminated&) {  // while it waited for room
  } catch (const std::exception& e) {
    ++sums.wrong;
    complain(std::string("a call threw: ") + e.what());
  }
}

// ---- the chaos ----------------------------------------------------------------------------------

/// Sends it only if that is still a child of `parent`.
bool send_signal(pid_t pid, pid_t parent, int signal) {
  const int fd = static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));
  if (fd < 0) return false;
  std::ifstream stat("/proc/" + std::to_string(pid) + "/stat");
  std::string line;
  std::getline(stat, line);
  const auto name_end = line.rfind(')');
  const bool is_its = name_end != std::string::npos &&
                      std::atoi(line.c_str() + name_end + 4) == static_cast<int>(parent);
  const bool sent = is_its && ::syscall(SYS_pidfd_send_signal, fd, signal, nullptr, 0) == 0;
  ::close(fd);
  return sent;
}

void chaos(pid_t zygote, std::uint32_t seed, bool kill_zygote, const std::atomic<bool>& over) {
  std::minstd_rand random(seed);
  const auto start = clock::now();
  while (!over) {
    ::usleep(static_cast<useconds_t>(500 + random() % 6000));
    if (random() % 32 == 0 && send_signal(zygote, ::getpid(), SIGSTOP)) {
      ++sums.zygotes_stopped;
      ::usleep(static_cast<useconds_t>(random() % 30000));
      send_signal(zygote, ::getpid(), SIGCONT);
    }
    const auto workers = procpool::testing::children_of(zygote);
    if (workers.empty()) continue;
    const pid_t victim = workers[random() % workers.size()];
    if (random() % 4 == 0) {
      if (!send_signal(victim, zygote, SIGSTOP)) continue;
      ++sums.stops;
      ::usleep(static_cast<useconds_t>(random() % 5000));
      send_signal(victim, zygote, SIGCONT);
    } else if (send_signal(victim, zygote, SIGKILL)) {
      ++sums.kills;
    }
    if (kill_zygote && clock::now() - start > 300ms) {
      if (send_signal(zygote, ::getpid(), SIGKILL)) ++sums.zygotes;
      return;
    }
  }
}

/// More workers and fewer, until the pool takes it no more.
void resizes(pool& p, std::uint32_t seed, const std::atomic<bool>& over) {
  std::minstd_rand random(seed);
  try {
    while (!over) {
      p.resize(static_cast<int>(1 + random() % 5));
      ++sums.resizes;
      ::usleep(static_cast<useconds_t>(random() % 20000));
    }
  } catch (const procpool::pool_broken&) {
  } catch (const procpool::pool_closed&) {
  }
}

// ---- a round ------------------------------------------------------------------------------------

void round(std::uint32_t seed) {
  std::minstd_rand random(seed);
  for (int i = 0; i < ledger_size; ++i) shared[static_cast<std::size_t>(i)] = 0;
  const procpool::testing::pool_census before;
  {
    numbers ledger;
    std::atomic<bool> over{false};
    const auto method = procpool::testing::process_methods[random() % 3];
    pool p({.processes = 3,
            .max_tasks_per_child = random() % 3 == 0 ? 50 : 0,
            .start_method = method,
            .stop_steps = {.token_grace = std::chrono::milliseconds(random() % 3)},
            .idle_timeout = std::chrono::milliseconds(random() % 3),
            .max_worker_age = std::chrono::milliseconds(random() % 2 * (5 + random() % 50)),
            .max_pending = random() % 3 == 0 ? 64U : 0U,
            .max_pending_bytes = random() % 3 == 0 ? 1000U : 0U});
    const bool kill_zygote = random() % 6 == 0;
    std::thread trouble(chaos, procpool::testing::the_zygote(), seed + 1, kill_zygote,
                        std::cref(over));
    std::vector<std::thread> loads;
    for (std::uint32_t i = 0; i < 3; ++i)
      loads.emplace_back([&, i] { load(p, ledger, seed + 2 + i, over); });
    if (random() % 2 == 0) loads.emplace_back([&] { resizes(p, seed + 9, over); });
    std::this_thread::sleep_for(1s);
    if (random() % 4 == 0) p.terminate();
    over = true;
    for (auto& t : loads) t.join();
    trouble.join();
    const procpool::pool_stats s = p.stats();
    if (s.submitted != s.done + s.failed + s.queued + s.running)
      ++sums.wrong, complain("the pool's own counters do not add up");
  }
  procpool::testing::reap_orphans();
  if (const auto same = before.unchanged(); !same) {
    ++sums.leaked;
    complain(std::string("left behind: ") + same.message());
  }
  ++sums.rounds;
}

}  // namespace

int main(int argc, char** argv) {
  procpool::init(argc, argv);
  const int seconds = argc > 1 ? std::atoi(argv[1]) : 10;
  auto seed = static_cast<std::uint32_t>(argc > 2 ? std::atoi(argv[2]) : ::getpid());
  std::printf("soak: %d s from seed %u\n", seconds, seed);
  std::fflush(stdout);
  ::signal(SIGALRM, [](int) {
    constexpr char words[] = "soak: hangs\n";
    static_cast<void>(!::write(STDERR_FILENO, words, sizeof words - 1));
    ::abort();
  });
  const auto end = clock::now() + std::chrono::seconds(seconds);
  do {
    ::alarm(120);
    round(seed);
    seed += 100;
  } while (clock::now() < end);
  std::printf(
      "soak: rounds %lu, kills %lu, stops %lu, zygotes killed %lu, stopped %lu, resizes %lu; items "
      "%lu: values "
      "%lu, died %lu, timed out %lu, cancelled %lu, with their pool %lu\n"
      "soak: hung 0, lost %lu, doubled %lu, wrong %lu, leaked %lu\n",
      sums.rounds.load(), sums.kills.load(), sums.stops.load(), sums.zygotes.load(),
      sums.zygotes_stopped.load(), sums.resizes.load(), sums.items.load(), sums.values.load(),
      sums.died.load(), sums.timed_out.load(), sums.cancelled.load(), sums.ended.load(),
      sums.lost.load(), sums.doubled.load(), sums.wrong.load(), sums.leaked.load());
  return sums.lost + sums.doubled + sums.wrong + sums.leaked == 0 ? 0 : 1;
}
