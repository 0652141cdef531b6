// SPDX-License-Identifier: MIT
// Many calls one right after the other, which may be sent together: each is a call of its own all
// the same.
#include <sys/types.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "support/methods.h"

namespace procpool::testing {
namespace {

class bursts : public pool_test {};
class bursts_far : public pool_test {};
PROCPOOL_EVERY_METHOD(bursts);
PROCPOOL_PROCESS_METHODS(bursts_far);

constexpr int many = 2000;

int increment(int x) { return x + 1; }
std::string times(int n) { return std::string(static_cast<std::size_t>(n), 'a'); }
void even(int n) {
  if (n % 2 != 0) throw std::runtime_error(std::to_string(n));
}

int mishap(int x, int when, int what) {
  if (x != when) return x;
  if (what == SIGKILL) ::raise(SIGKILL);
  for (;;) ::pause();
}

int calls_so_far() {
  static int calls = 0;
  return calls++;
}
int calls_too() { return calls_so_far(); }

TEST_P(bursts, have_results_of_their_own) {
  pool p(with());
  for (int round = 0; round < 3; ++round) {
    std::vector<async_result<int>> numbers;
    std::vector<async_result<std::string>> texts;
    std::vector<async_result<void>> nothings;
    for (int i = 0; i < many; ++i) numbers.push_back(p.apply_async(increment, i));
    for (int i = 0; i < many; ++i) texts.push_back(p.apply_async(times, i % 1500));
    for (int i = 0; i < many; ++i) nothings.push_back(p.apply_async(even, i));
    for (int i = many; i-- != 0;) {
      const auto n = static_cast<std::size_t>(i);
      ASSERT_EQ(numbers[n].get(), i + 1);
      ASSERT_EQ(texts[n].get(), times(i % 1500));
      if (i % 2 == 0) {
        ASSERT_NO_THROW(nothings[n].get());
        continue;
      }
      try {
        nothings[n].get();
        FAIL() << i << " threw nothing";
      } catch (const std::runtime_error& e) {
        ASSERT_EQ(e.what(), std::to_string(i));
      }
    }
  }
  const pool_stats s = p.stats();
  EXPECT_EQ(s.submitted, 9u * many);
  EXPECT_EQ(s.done, s.submitted - 3 * many / 2);
  EXPECT_EQ(s.failed, 3u * many / 2);
}

TEST_P(bursts, of_functions_with_state_keep_it_apart) {
  pool p(with());
  std::vector<async_result<int>> results;
  for (int i = 0; i < many; ++i)
    results.push_back(p.apply_async([k = i / 7](int x) { return 1000 * x + k; }, i));
  for (int i = 0; i < many; ++i)
    ASSERT_EQ(results[static_cast<std::size_t>(i)].get(), 1000 * i + i / 7);
}

TEST_P(bursts_far, run_in_the_order_they_were_made_in) {
  pool p(with(1));
  std::vector<async_result<int>> results;
  for (int i = 0; i < many; ++i) {
    results.push_back(i % 100 < 90 ? p.apply_async(calls_so_far) : p.apply_async(calls_too));
    if (i % 500 == 499) {
      ASSERT_EQ(p.apply(calls_so_far), i + i / 500 + 1);
    }
  }
  int before = -1;
  for (auto& r : results) {
    const int now = r.get();
    ASSERT_GT(now, before);
    before = now;
  }
}

TEST_P(bursts_far, wait_for_no_call_behind_them) {
  pool p(with());
  for (int i = 0; i < 200; ++i) p.apply(mishap, i, -1, 0);  // it is known to take no time
  std::vector<async_result<int>> results;
  for (int i = 0; i < 300; ++i) results.push_back(p.apply_async(mishap, i, 100, SIGALRM));
  for (int i = 0; i < 300; ++i) {
    if (i == 100) continue;
    auto& r = results[static_cast<std::size_t>(i)];
    ASSERT_TRUE(r.wait_for(ages)) << i;
    ASSERT_EQ(r.get(), i);
  }
  EXPECT_FALSE(results[100].ready());
  EXPECT_TRUE(results[100].cancel());
  EXPECT_THROW(results[100].get(), task_cancelled);
}

TEST_P(bursts_far, also_with_a_single_worker) {
  pool p(with(1));
  for (int i = 0; i < 200; ++i) p.apply(mishap, i, -1, 0);
  std::vector<async_result<int>> results;
  for (int i = 0; i < 300; ++i) results.push_back(p.apply_async(mishap, i, 100, SIGALRM));
  for (int i = 0; i < 100; ++i) {
    auto& r = results[static_cast<std::size_t>(i)];
    ASSERT_TRUE(r.wait_for(ages)) << i;
    ASSERT_EQ(r.get(), i);
  }
  EXPECT_FALSE(results[100].ready());
  EXPECT_TRUE(results[100].cancel());
  for (int i = 101; i < 300; ++i) ASSERT_EQ(results[static_cast<std::size_t>(i)].get(), i);
}

TEST_P(bursts_far, are_told_without_anybody_waiting) {
  pool p(with(1));
  for (int i = 0; i < 200; ++i) p.apply(mishap, i, -1, 0);
  std::atomic<int> told{0};
  std::vector<async_result<void>> chained;
  std::optional<async_result<int>> stuck;
  for (int i = 0; i < 300; ++i) {
    auto r = p.apply_async(mishap, i, 100, SIGALRM);
    if (i == 100)
      stuck = std::move(r);
    else
      chained.push_back(r.then([&told](int) { ++told; }));
  }
  EXPECT_TRUE(eventually([&] { return told == 100; }));
  EXPECT_TRUE(stuck->cancel());
  EXPECT_TRUE(eventually([&] { return told == 299; }));
}

TEST_P(bursts_far, lose_one_call_to_a_death) {
  pool p(with());
  for (int i = 0; i < 200; ++i) p.apply(mishap, i, -1, 0);
  for (int when : {0, 50, 163, 299}) {
    std::vector<async_result<int>> results;
    for (int i = 0; i < 300; ++i) results.push_back(p.apply_async(mishap, i, when, SIGKILL));
    for (int i = 0; i < 300; ++i) {
      auto& r = results[static_cast<std::size_t>(i)];
      if (i != when) {
        ASSERT_EQ(r.get(), i) << "when " << when << " dies";
        continue;
      }
      try {
        r.get();
        FAIL() << "nobody died";
      } catch (const worker_died& e) {
        EXPECT_EQ(e.signal(), SIGKILL);
        EXPECT_EQ(e.index(), 0u);
      }
    }
  }
}

TEST_P(bursts_far, are_cancelled_one_by_one) {
  pool p(with());
  int cancelled = 0;
  for (int round = 0; round < 5; ++round) {
    std::vector<async_result<int>> results;
    std::set<int> gone;
    for (int i = 0; i < many; ++i) {
      results.push_back(p.apply_async(increment, i));
      if (i % 40 != 39) continue;
      for (int k : {i - 30, i - 7, i})
        if (results[static_cast<std::size_t>(k)].cancel()) gone.insert(k);
    }
    for (int i = 0; i < many; ++i) {
      auto& r = results[static_cast<std::size_t>(i)];
      if (gone.count(i) != 0) {
        ASSERT_THROW(r.get(), task_cancelled) << i;
      } else {
        ASSERT_EQ(r.get(), i + 1);
      }
    }
    cancelled += static_cast<int>(gone.size());
  }
  EXPECT_GT(cancelled, 0);
}

TEST_P(bursts_far, whose_results_are_dropped_end_too) {
  pool p(with());
  for (int i = 0; i < many; ++i) static_cast<void>(p.apply_async(increment, i));
  p.close();
  EXPECT_TRUE(p.join_for(ages));
  EXPECT_EQ(p.stats().done, static_cast<std::uint64_t>(many));
}

TEST_P(bursts_far, end_with_the_pool) {
  std::vector<async_result<int>> results;
  {
    pool p(with());
    for (int i = 0; i < many; ++i) results.push_back(p.apply_async(increment, i));
    p.terminate();
  }
  int left = 0;
  for (int i = 0; i < many; ++i) {
    try {
      ASSERT_EQ(results[static_cast<std::size_t>(i)].get(), i + 1);
    } catch (const pool_terminated&) {
      ++left;
    }
  }
  EXPECT_LE(left, many);
}

TEST_P(bursts_far, are_shared_by_workers_that_leave_after_a_few) {
  auto options = with();
  options.max_tasks_per_child = 7;
  pool p(options);
  std::vector<async_result<std::pair<int, pid_t>>> results;
  for (int i = 0; i < 300; ++i)
    results.push_back(p.apply_async([](int x) { return std::pair(x, ::getpid()); }, i));
  std::map<pid_t, int> calls;
  for (int i = 0; i < 300; ++i) {
    const auto [x, pid] = results[static_cast<std::size_t>(i)].get();
    ASSERT_EQ(x, i);
    ++calls[pid];
  }
  for (const auto& [pid, n] : calls) EXPECT_LE(n, 7) << pid;
}

TEST_P(bursts_far, of_vectors_keep_each) {
  pool p(with());
  std::vector<async_result<shared_vector<int>>> results;
  for (int i = 0; i < 400; ++i) {
    results.push_back(p.apply_async(
        [](int x) {
          auto v = this_worker::allocate<int>(100);
          for (int& e : v) e = x;
          return v;
        },
        i));
  }
  for (int i = 0; i < 400; ++i) {
    const auto v = results[static_cast<std::size_t>(i)].get();
    ASSERT_EQ(v.size(), 100u);
    for (int e : v) ASSERT_EQ(e, i);
  }
}

TEST_P(bursts_far, of_a_stream_know_their_places) {
  pool p(with());
  std::vector<int> xs(600);
  for (int i = 0; i < 600; ++i) xs[static_cast<std::size_t>(i)] = i;
  const auto f = [](int x) { return mishap(x, 417, SIGKILL); };
  int i = 0;
  auto stream = p.imap({.chunksize = 1}, f, xs);
  for (; i < 600; ++i) {
    try {
      const auto next = stream.next();
      ASSERT_TRUE(next);
      ASSERT_EQ(*next, i);
    } catch (const worker_died& e) {
      EXPECT_EQ(e.index(), 417u);
      EXPECT_EQ(i, 417);
    }
  }
  std::set<int> seen;
  for (const int y : p.imap_unordered({.chunksize = 1}, increment, xs)) seen.insert(y);
  EXPECT_EQ(seen.size(), 600u);
}

}  // namespace
}  // namespace procpool::testing
