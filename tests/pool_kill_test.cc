// SPDX-License-Identifier: MIT
// A worker, or the zygote, dies at each named step of the pool's protocol, under a load that comes
// by all of them: every result is right, or the one item that was running says that its worker
// died; when the zygote dies, what had not ended says that the pool is broken. Never a hang,
// nothing is left behind.
#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <numeric>
#include <optional>
#include <set>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "base/step.h"
#include "procpool/procpool.h"
#include "support/fork_test.h"
#include "support/methods.h"

namespace procpool {
namespace {

using namespace testing;  // NOLINT: this file is about what stands there
using testing::shared;    // not the handle
namespace step = base::step;

// ---- the load -----------------------------------------------------------------------------------

// Every item of the load has a number of its own, and counts its runs there.
constexpr int applies = 5;
constexpr int burst = 200;
constexpr int mapped_ints = 1000;
constexpr int mapped_texts = 200;
constexpr int large_ones = 2;
constexpr int streamed = 100;
constexpr int vectored = 32;
constexpr int dropped = 8;  // of those
constexpr std::size_t large = 8 << 20;
constexpr int quota = 300;

// Codecs run on both sides; the owner shall not die.
bool in_worker() { return ::getpid() != owner; }

void ran(int item) {
  ++shared[static_cast<std::size_t>(item)];
  PROCPOOL_STEP("task: running");
}

int number(int item) {
  ran(item);
  return 3 * item;
}
/// Travels as a record, in pieces, and does not fit into a slot.
struct document {
  int item = 0;
  std::string text;
  template <class Archive>
  void save(Archive& archive) const {
    archive(item);
    if (in_worker()) PROCPOOL_STEP("task: encoding");
    archive(text);
  }
  template <class Archive>
  void load(Archive& archive) {
    archive(item);
    if (in_worker()) PROCPOOL_STEP("task: decoding");
    archive(text);
  }
};
std::string text_of(int item) {
  return std::string(100 + static_cast<std::size_t>(item % 7) * 300, 'a') + std::to_string(item);
}
document write(const document& order) {
  ran(order.item);
  return {order.item, text_of(order.item)};
}
std::vector<char> bulk(int item) {
  ran(item);
  return std::vector<char>(large, static_cast<char>(item));
}

/// There and back in shared memory, by way of another piece of it.
struct lot {
  int item = 0;
  shared_vector<int> values;
};
lot turn(const lot& l) {
  ran(l.item);
  lot turned{l.item, this_worker::allocate<int>(l.values.size())};
  std::reverse_copy(l.values.begin(), l.values.end(), turned.values.begin());
  return turned;
}

/// How the items of a run ended.
struct verdict {
  int right = 0;
  int died = 0;
  int broken = 0;
  int wrong = 0;

  template <class F>
  void judge(int count, std::size_t index, F&& is_right) {
    try {
      (is_right() ? right : wrong) += count;
    } catch (const worker_died& e) {
      ++died;
      EXPECT_EQ(e.signal(), SIGKILL);
      EXPECT_EQ(e.index(), index);
    } catch (const pool_broken&) {
      broken += count;
    } catch (const std::exception& e) {
      ADD_FAILURE() << e.what();
      ++wrong;
    }
  }
};

/// try_map, each outcome judged; a pool that is broken before it began counts as all broken.
template <class F, class Items, class Right>
void judge_map(verdict& v, pool& p, std::size_t chunk, F f, const Items& items, Right right) {
  try {
    const auto all = p.try_map({.chunksize = chunk}, f, items);
    EXPECT_EQ(all.size(), items.size());
    for (std::size_t i = 0; i < all.size(); ++i)
      v.judge(1, i, [&] { return right(all[i].value(), i); });
  } catch (const pool_broken&) {
    v.broken += static_cast<int>(items.size());
  }
}

constexpr int first_burst = applies;
constexpr int first_int = first_burst + burst;
constexpr int first_text = first_int + mapped_ints;
constexpr int first_large = first_text + mapped_texts;
constexpr int first_streamed = first_large + large_ones;
constexpr int first_vector = first_streamed + streamed;
constexpr int items = first_vector + vectored;

lot lot_of(pool& p, int n) {
  lot l{first_vector + n, p.allocate<int>(3000)};
  std::iota(l.values.begin(), l.values.end(), n);
  return l;
}
bool is_turned(const lot& l, int n) {
  return l.item == first_vector + n && l.values.size() == 3000 && l.values[0] == n + 2999 &&
         l.values[2999] == n;
}
/// The first ones one by one, and soon given back; the others are held.
std::vector<outcome<lot>> turn_lots(verdict& v, pool& p) {
  try {
    for (int i = 0; i < dropped; ++i)
      v.judge(1, 0, [&] { return is_turned(p.apply(turn, lot_of(p, i)), i); });
    std::vector<lot> lots;
    for (int i = dropped; i < vectored; ++i) lots.push_back(lot_of(p, i));
    return p.try_map({.chunksize = 5}, turn, std::move(lots));
  } catch (const pool_broken&) {
    v.broken += vectored - dropped;
    return {};
  }
}
void judge_lots(verdict& v, std::vector<outcome<lot>>& all) {
  for (std::size_t i = 0; i < all.size(); ++i)
    v.judge(1, i, [&] { return is_turned(all[i].value(), dropped + static_cast<int>(i)); });
}

/// Workers come and leave while work goes on.
void resize(pool& p, int processes) {
  try {
    p.resize(processes);
  } catch (const pool_broken&) {  // to be told of by what follows
  }
}

verdict load(pool& p) {
  verdict v;
  for (int i = 0; i < applies; ++i) v.judge(1, 0, [&] { return p.apply(number, i) == 3 * i; });
  resize(p, 3);

  // Held until the end: by then the workers that wrote them are no more.
  auto lots = turn_lots(v, p);

  std::vector<async_result<int>> running;
  for (int i = 0; i < burst; ++i) {
    try {
      running.push_back(p.apply_async(number, first_burst + i));
    } catch (const pool_broken&) {
      ++v.broken;
    }
  }
  for (std::size_t i = 0; i < running.size(); ++i)
    v.judge(1, 0, [&] { return running[i].get() == 3 * (first_burst + static_cast<int>(i)); });

  const auto ints = numbers(first_int, mapped_ints);
  judge_map(v, p, 0, number, ints, [&](int x, std::size_t i) { return x == 3 * ints[i]; });

  resize(p, 1);
  std::vector<document> orders;
  for (int item : numbers(first_text, mapped_texts)) orders.push_back({item, text_of(item)});
  judge_map(v, p, 16, write, orders, [&](const document& d, std::size_t i) {
    return d.item == orders[i].item && d.text == orders[i].text;
  });

  resize(p, 2);
  judge_map(v, p, 1, bulk, numbers(first_large, large_ones),
            [&](const std::vector<char>& b, std::size_t i) {
              return b.size() == large && b.front() == static_cast<char>(first_large + i) &&
                     b.back() == b.front();
            });

  try {
    auto stream = p.imap({.chunksize = 3}, number, numbers(first_streamed, streamed));
    for (int i = 0; i < streamed && v.broken == 0; ++i) {
      v.judge(1, static_cast<std::size_t>(i),
              [&] { return stream.next() == 3 * (first_streamed + i); });
    }
  } catch (const pool_broken&) {
    ++v.broken;
  }
  judge_lots(v, lots);
  // A stream's end, or a pool that takes none: one failure stands for what was not submitted.
  if (v.broken != 0) v.broken = items - v.right - v.died - v.wrong;
  return v;
}

// ---- the harness --------------------------------------------------------------------------------

/// One pool's whole life under the load. Nothing: it could not even be made.
std::optional<verdict> play(start_method method) {
  for (std::size_t i = 0; i < items; ++i) shared[i] = 0;
  try {
    pool p({.processes = 2,
            .initializer = task([] { PROCPOOL_STEP("task: initializing"); }),
            .max_tasks_per_child = quota,
            .start_method = method,
            .finalizer = task([] { PROCPOOL_STEP("task: finalizing"); })});
    const verdict v = load(p);
    return v;
  } catch (const std::system_error& e) {
    EXPECT_NE(std::string(e.what()).find("procpool: "), std::string::npos);
    return std::nullopt;
  }
}

class pool_kill : public fork_test, public ::testing::WithParamInterface<start_method> {
 protected:
  static void SetUpTestSuite() { step::enable(); }  // its memory stays

  static void kill_at(const std::string& name, std::uint64_t nth) {
    const std::string trying = name + ", time " + std::to_string(nth);
    SCOPED_TRACE(trying);
    now_trying(trying);
    const pool_census before;
    step::enable();
    step::arm(name.c_str(), nth);
    const auto v = play(GetParam());
    const bool zygote = name.starts_with("zygote: ");
    if (zygote) reap_orphans();
    EXPECT_TRUE(before.unchanged());
    if (!v) {
      EXPECT_TRUE(zygote && step::fired());
      return;
    }
    EXPECT_EQ(v->wrong, 0);
    EXPECT_EQ(v->right + v->died + v->broken, items);
    for (std::size_t i = 0; i < items; ++i)
      if (shared[i].load() > 1) ADD_FAILURE() << "item " << i << " ran twice";
    if (zygote) {
      EXPECT_EQ(v->died, 0);
    } else {
      EXPECT_EQ(v->broken, 0);
      // An item may be running at the steps of its own and while its reply grows; at no other.
      const bool in_an_item = name.starts_with("task: ") || name.starts_with("worker: block ") ||
                              name.starts_with("worker: vector ");
      EXPECT_LE(v->died, in_an_item && step::fired() ? 1 : 0);
    }
  }
};

PROCPOOL_PROCESS_METHODS(pool_kill);

TEST_P(pool_kill, AtEachStep) {
  step::enable();
  const auto whole = play(GetParam());
  ASSERT_TRUE(whole);
  ASSERT_EQ(whole->right, items);
  const auto steps = step::list();
  int in_worker = 0;
  int in_zygote = 0;
  std::set<std::string> names;
  for (const step::count& s : steps) {
    names.insert(s.name);
    kill_at(s.name, 1);
    if (s.hits > 1) kill_at(s.name, s.hits / 2 + 1);
    ++(s.name.starts_with("zygote: ") ? in_zygote : in_worker);
  }
  std::printf("kill steps covered: %d (worker %d, zygote %d)\n", in_worker + in_zygote, in_worker,
              in_zygote);
  for (const char* name : {"worker: forked, outlives its zygote",
                           "worker: forked, dies with its zygote",
                           "worker: before the initializer",
                           "worker: after the initializer",
                           "worker: before its state is published",
                           "worker: state published, parent not woken",
                           "worker: after ready",
                           "worker: about to sleep",
                           "worker: woken",
                           "worker: sees a task, nothing claimed",
                           "worker: before a claim",
                           "worker: items claimed, none started",
                           "worker: items run, reply not written",
                           "worker: reply written, not published",
                           "worker: reply published, parent not woken",
                           "worker: parent woken",
                           "worker: block allocated",
                           "worker: block written, not named",
                           "worker: block named",
                           "worker: block given back by the parent",
                           "worker: vector allocated",
                           "worker: vector given, not answered",
                           "worker: vector given back by the parent",
                           "worker: vector of an earlier one left alone",
                           "worker: told to leave",
                           "worker: before the finalizer",
                           "worker: after the finalizer",
                           "worker: leaves",
                           "task: running",
                           "task: encoding",
                           "task: decoding",
                           "task: initializing",
                           "task: finalizing",
                           "zygote: started",
                           "zygote: ready",
                           "zygote: launch received",
                           "zygote: worker forked, not reported",
                           "zygote: launch reported",
                           "zygote: child reaped, not reported",
                           "zygote: end reported",
                           "zygote: stopping",
                           "zygote: children killed"})
    EXPECT_TRUE(names.contains(name)) << name;
  if (GetParam() == start_method::fork) return;
  for (const char* name : {"zygote: executed", "zygote: knows its pool"})
    EXPECT_TRUE(names.contains(name)) << name;
  if (GetParam() == start_method::forkserver) return;
  for (const char* name : {"worker: about to be executed", "worker: executed"})
    EXPECT_TRUE(names.contains(name)) << name;
}

// The other end of an initializer: its failure is on its way to the parent when the worker dies.
TEST_P(pool_kill, AtEachStepOfAFailingInitializer) {
  const auto fail = [] {
    pool p({.processes = 2,
            .initializer = task([] { throw std::runtime_error("no"); }),
            .start_method = GetParam()});
    EXPECT_THROW(p.apply(number, 1), initializer_failed);
  };
  step::enable();
  fail();
  for (const step::count& s : step::list()) {
    if (s.hits == 0 || s.name.starts_with("zygote: ")) continue;
    SCOPED_TRACE(s.name);
    now_trying(s.name);
    step::enable();
    step::arm(s.name.c_str(), 1);
    fail();
    EXPECT_TRUE(step::fired());
  }
}

}  // namespace
}  // namespace procpool
