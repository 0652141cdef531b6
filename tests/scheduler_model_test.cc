// SPDX-License-Identifier: MIT
// The scheduler under random operations, held against a reference that knows who holds what and
// counts the ends of every item.
#include "core/scheduler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <string>
#include <vector>

namespace procpool::core {
namespace {

using namespace std::chrono_literals;
using std::chrono::nanoseconds;

constexpr clock::time_point epoch{};

class model {
 public:
  explicit model(std::uint64_t seed)
      : random_(seed),
        many_(1 + below(5)),
        room_(2 + below(9)),
        quota_(below(3) == 0 ? 1 + below(20) : 0),
        s_(many_, room_, quota_, 2),
        workers_(many_) {
    for (int i = 0; i < 3; ++i) profiles_.push_back(s_.add_profile());
  }

  void run(int steps) {
    for (int i = 0; i < steps && !::testing::Test::HasFailure(); ++i) step();
    // To the end: everybody comes, works and leaves as its quota says.
    for (int i = 0; !s_.idle() && !::testing::Test::HasFailure(); ++i) {
      ASSERT_LT(i, 200'000) << "it does not come to an end";
      for (worker_id w = 0; w < many_; ++w) {
        if (!workers_[w].up) rise(w);
        release(w);
        answer(w);
        if (workers_[w].leaving && workers_[w].holds.empty()) die(w);
      }
      now_ += 100us;
      decide();
    }
    EXPECT_EQ(s_.queued(), 0u);
    for (const auto& [id, c] : calls_) {
      EXPECT_EQ(s_.live(id), 0u);
      check(c);
    }
  }

 private:
  struct call {
    std::vector<int> ended;
  };
  struct worker {
    bool up = false;
    bool leaving = false;
    std::vector<task_id> holds;
    std::uint32_t slots = 0;  // in use
    std::uint32_t unread = 0;
    std::uint32_t accepted = 0;
    std::uint32_t ran = 0;
  };

  std::uint32_t below(std::uint32_t n) { return static_cast<std::uint32_t>(random_() % n); }

  void step() {
    now_ += std::chrono::microseconds(below(40));
    worker_id w = below(many_);
    switch (below(10)) {
      case 0:
        submit();
        break;
      case 1:
        workers_[w].up ? void() : rise(w);
        break;
      case 2:
        below(4) == 0 ? die(w) : void();
        break;
      case 3:
        below(4) == 0 ? drop() : void();
        break;
      case 4:
        release(w);
        break;
      case 5:
      case 6:
        answer(w);
        break;
      default:
        decide();
        break;
    }
  }

  static void check(const call& c) {
    for (int n : c.ended) ASSERT_EQ(n, 1) << "an item must end exactly once";
  }
  void end(const scheduler::task& t, std::uint32_t from, std::uint32_t to) {
    for (std::uint32_t k = from; k < to; ++k) ++calls_.at(t.call).ended.at(t.first + k);
  }

  void submit() {
    call_id id = 0;
    if (calls_.empty() || below(2) == 0) {
      id = s_.open(profiles_[below(3)]);
      ASSERT_FALSE(calls_.contains(id)) << "the number of a live call";
      calls_[id] = {};
    } else {
      id = std::next(calls_.begin(), below(static_cast<std::uint32_t>(calls_.size())))->first;
    }
    std::uint32_t tasks = 1 + below(6);
    for (std::uint32_t i = 0; i < tasks; ++i) {
      std::uint32_t count = 1 + below(8);
      s_.add(id, calls_[id].ended.size(), count);
      calls_[id].ended.resize(calls_[id].ended.size() + count);
    }
  }

  void drop() {
    if (calls_.empty()) return;
    auto at = std::next(calls_.begin(), below(static_cast<std::uint32_t>(calls_.size())));
    s_.each_task_of(at->first, [this](task_id t) {
      if (!s_[t].queued) return;
      end(s_[t], 0, s_[t].count);
      s_.erase(t);
    });
    if (s_.live(at->first) != 0) return;
    check(at->second);
    s_.close(at->first);
    calls_.erase(at);
  }

  void rise(worker_id w) {
    workers_[w] = {};
    workers_[w].up = true;
    s_.up(w, now_);
  }

  void die(worker_id w) {
    worker& me = workers_[w];
    if (!me.up) return;
    bool first = true;
    std::vector<std::pair<task_id, std::uint32_t>> left;
    for (task_id t : me.holds) {  // of the oldest it has done some, and one killed it
      left.emplace_back(t, first && s_[t].count != 0 ? below(s_[t].count + 1) : 0);
      first = false;
    }
    for (auto l = left.rbegin(); l != left.rend(); ++l) {
      auto [t, gone] = *l;
      s_.answered(t, 0, {}, now_);
      if (gone == 0 && s_[t].count != 0) {
        s_.requeue(t);
        continue;
      }
      end(s_[t], 0, gone);
      if (gone < s_[t].count) s_.split(t, gone);
      s_.erase(t);
    }
    s_.down(w);
    me = {};
  }

  void release(worker_id w) {
    worker& me = workers_[w];
    if (!me.up || me.unread == 0) return;
    --me.unread;
    --me.slots;
    s_.released(w);
  }

  void answer(worker_id w) {
    worker& me = workers_[w];
    if (!me.up || me.holds.empty()) return;
    task_id t = me.holds.front();
    me.holds.erase(me.holds.begin());
    std::uint32_t count = s_[t].count;
    std::uint32_t done = quota_ == 0 ? count : std::min(count, quota_ - me.ran);
    me.ran += done;
    ++me.unread;
    end(s_[t], 0, done);
    s_.answered(t, done, nanoseconds(below(100'000)), now_);
    if (done < count) s_.split(t, done);
    s_.erase(t);
    if (quota_ != 0 && me.ran == quota_) {
      me.leaving = true;
      s_.leaving(w);
      for (task_id rest : std::vector(me.holds.rbegin(), me.holds.rend())) {
        s_.answered(rest, 0, {}, now_);
        if (s_[rest].count != 0)
          s_.requeue(rest);
        else
          s_.erase(rest);
      }
      s_.down(w);
      me = {};
    }
  }

  void decide() {
    auto d = s_.next(now_);
    if (!d) return;
    if (auto* send = std::get_if<scheduler::send>(&*d)) {
      worker& me = workers_[send->worker];
      EXPECT_TRUE(me.up) << "a task for a worker that is not there";
      EXPECT_FALSE(me.leaving);
      EXPECT_LT(me.slots, room_) << "a task for a full ring";
      EXPECT_TRUE(quota_ == 0 || me.accepted < quota_);
      const scheduler::task& t = s_[send->task];
      EXPECT_EQ(t.worker, send->worker);
      EXPECT_FALSE(t.queued);
      me.holds.push_back(send->task);
      ++me.slots;
      me.accepted += t.count;
      return;
    }
    auto& take = std::get<scheduler::take>(*d);
    worker& me = workers_[take.worker];
    auto at = std::find(me.holds.begin(), me.holds.end(), take.task);
    ASSERT_NE(at, me.holds.end()) << "taken from one that does not hold it";
    EXPECT_EQ(take.may_have_started, at == me.holds.begin());
    std::uint32_t count = s_[take.task].count;
    EXPECT_EQ(s_.queued(), 0u) << "taken back while there is work in the queue";
    std::uint32_t kept = take.may_have_started ? below(count + 1) : 0;
    me.accepted -= count - kept;
    task_id rest = s_.taken_back(take.task, kept);
    EXPECT_EQ(rest == scheduler::none, kept == count);
  }

  std::mt19937_64 random_;
  std::uint32_t many_, room_, quota_;
  scheduler s_;
  std::vector<profile_id> profiles_;
  std::map<call_id, call> calls_;
  std::vector<worker> workers_;
  clock::time_point now_ = epoch + 1s;
};

TEST(scheduler_model, every_item_ends_once_whatever_happens) {
  for (std::uint64_t seed = 1; seed <= 200 && !::testing::Test::HasFailure(); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    model(seed).run(2000);
  }
}

}  // namespace
}  // namespace procpool::core
