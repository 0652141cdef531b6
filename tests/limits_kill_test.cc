// SPDX-License-Identifier: MIT
// A worker, or the zygote, dies at each named step while items are stopped, politely and not, and
// run again: every item has one outcome and no item is begun more often than it may be.
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <optional>
#include <set>
#include <string>
#include <system_error>
#include <vector>

#include "base/step.h"
#include "procpool/procpool.h"
#include "support/fork_test.h"
#include "support/methods.h"

namespace procpool {
namespace {

using namespace testing;  // NOLINT: this file is about what stands there
using testing::shared;    // not the handle
using namespace std::chrono_literals;
namespace step = base::step;

// Every item has a number of its own, and counts its runs there. What it does is its last digit.
constexpr int all_items = 40;

void begin(int item) {
  ++shared[static_cast<std::size_t>(item)];
  PROCPOOL_STEP("task: running");
}

int item_of_any_kind(int item) {
  begin(item);
  switch (item % 10) {
    case 3:  // hangs
      for (;;) ::usleep(1000);
    case 5:  // does as it is told
      while (!this_worker::stop_token().stop_requested()) ::usleep(100);
      break;
    case 7: {  // hears signals only
      static std::atomic<bool> told;
      told = false;
      ::signal(SIGUSR1, [](int) { told = true; });
      while (!told) ::usleep(100);
      break;
    }
    default:
      break;
  }
  return 3 * item;
}

struct verdict {
  int right = 0, stopped = 0, died = 0, broken = 0, wrong = 0;
};

template <class Outcomes>
void judge(verdict& v, const Outcomes& all, int first) {
  for (std::size_t i = 0; i < all.size(); ++i) {
    try {
      (all[i].value() == 3 * (first + static_cast<int>(i)) ? v.right : v.wrong) += 1;
    } catch (const task_timeout&) {
      ++v.stopped;
    } catch (const task_cancelled&) {
      ++v.stopped;
    } catch (const worker_died&) {
      ++v.died;
    } catch (const pool_broken&) {
      ++v.broken;
    } catch (const std::exception& e) {
      ADD_FAILURE() << e.what();
      ++v.wrong;
    }
  }
}

verdict load(pool& p) {
  verdict v;
  const task_options limits{
      .chunksize = 5,
      .timeout = 40ms,
      .stop_steps = stop_steps{.token_grace = 10ms, .signal = SIGUSR1, .signal_grace = 10ms}};
  try {
    judge(v, p.try_map(limits, item_of_any_kind, numbers(0, 20)), 0);
    // Run again, once.
    task_options again = limits;
    again.retries = 1;
    again.stop_steps = stop_steps{};
    judge(v, p.try_map(again, item_of_any_kind, numbers(20, 10)), 20);
    // Cancelled while it runs.
    auto running = p.map_async({.chunksize = 5}, item_of_any_kind, numbers(30, 10));
    eventually([&] { return running.running() || running.ready(); });
    running.cancel();
    try {
      running.get();
      ++v.wrong;  // some of it never ends by itself
    } catch (const task_cancelled&) {
      v.stopped += 10;
    } catch (const worker_died&) {
      ++v.died, v.stopped += 9;
    } catch (const pool_broken&) {
      v.broken += 10;
    }
  } catch (const pool_broken&) {
    v.broken = all_items - v.right - v.stopped - v.died - v.wrong;
  }
  return v;
}

std::optional<verdict> play(start_method method) {
  for (std::size_t i = 0; i < all_items; ++i) shared[i] = 0;
  try {
    pool p({.processes = 2, .start_method = method});
    return load(p);
  } catch (const std::system_error& e) {
    EXPECT_NE(std::string(e.what()).find("procpool: "), std::string::npos);
    return std::nullopt;
  }
}

class limits_kill : public fork_test, public ::testing::WithParamInterface<start_method> {
 protected:
  static void SetUpTestSuite() { step::enable(); }  // its memory stays
};

PROCPOOL_PROCESS_METHODS(limits_kill);

TEST_P(limits_kill, AtEachStep) {
  step::enable();
  const auto whole = play(GetParam());
  ASSERT_TRUE(whole);
  // On a machine with other things to do, more than those may run past their time.
  EXPECT_EQ(whole->right + whole->stopped, all_items);
  EXPECT_GE(whole->stopped, 6 + 3 + 10);
  std::set<std::string> names;
  for (const step::count& s : step::list()) {
    names.insert(s.name);
    const std::string trying = s.name;
    SCOPED_TRACE(trying);
    now_trying(trying);
    const pool_census before;
    step::enable();
    step::arm(s.name.c_str(), s.hits / 2 + 1);
    const auto v = play(GetParam());
    const bool zygote = s.name.starts_with("zygote: ");
    if (zygote) reap_orphans();
    EXPECT_TRUE(before.unchanged());
    if (!v) {
      EXPECT_TRUE(zygote && step::fired());
      continue;
    }
    EXPECT_EQ(v->wrong, 0);
    EXPECT_EQ(v->right + v->stopped + v->died + v->broken, all_items);
    EXPECT_LE(v->died, zygote ? 0 : 1);
    if (!zygote) {
      EXPECT_EQ(v->broken, 0);
    }
    for (int i = 0; i < all_items; ++i) {
      const int most = i >= 20 && i < 30 ? 2 : 1;
      EXPECT_LE(shared[static_cast<std::size_t>(i)].load(), most) << "item " << i;
    }
  }
  for (const char* name :
       {"zygote: kill received", "zygote: killed, not reported", "worker: waits behind the gate",
        "worker: gives back what it did not start", "worker: about to ask what runs to stop"})
    EXPECT_TRUE(names.contains(name)) << name;
}

}  // namespace
}  // namespace procpool
