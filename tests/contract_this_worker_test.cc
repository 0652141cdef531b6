// SPDX-License-Identifier: MIT
// The contract of this_worker: what tasks learn of their worker, and the state that its initializer
// leaves it.
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

#include "procpool/procpool.h"
#include "support/board.h"
#include "support/methods.h"
#include "support/model.h"
#include "support/tasks.h"

namespace {

using namespace procpool::testing;  // NOLINT(google-build-using-namespace)
namespace this_worker = procpool::this_worker;
using procpool::pool;
using procpool::pool_options;
using procpool::start_method;

class this_worker_is : public pool_test {};
class this_workers_life : public pool_test {};  // as only another process has one
class worker_state : public pool_test {};
class worker_state_far : public pool_test {};
PROCPOOL_EVERY_METHOD(this_worker_is);
PROCPOOL_PROCESS_METHODS(this_workers_life);
PROCPOOL_EVERY_METHOD(worker_state);
PROCPOOL_PROCESS_METHODS(worker_state_far);

// ---- this_worker

TEST_P(this_worker_is, nobody_outside) {
  pool p(with());
  p.apply(square, 2);
  EXPECT_FALSE(this_worker::exists());
  EXPECT_EQ(this_worker::id(), -1);
  EXPECT_EQ(this_worker::pid(), -1);
  EXPECT_EQ(this_worker::task_count(), 0U);
  EXPECT_FALSE(this_worker::stop_token().stop_possible());
  EXPECT_THROW(static_cast<void>(this_worker::state<int>()), std::logic_error);
}

TEST_P(this_worker_is, known_to_tasks) {
  pool p(with(3));
  const auto all = p.map(
      {.chunksize = 1},
      [](int) {
        const auto stop = this_worker::stop_token();
        return std::tuple(this_worker::exists(), this_worker::id(),
                          this_worker::pid() == ::getpid(),
                          stop.stop_possible() && !stop.stop_requested());
      },
      first(100));
  for (const auto& [exists, id, own_pid, token] : all) {
    EXPECT_TRUE(exists);
    EXPECT_GE(id, 0);
    EXPECT_LT(id, GetParam() == start_method::in_process ? 1 : 3);
    EXPECT_TRUE(own_pid);
    EXPECT_TRUE(token);
  }
}

TEST_P(this_worker_is, known_to_its_initializer) {
  board b;
  pool_options o = with(1);
  o.initializer = procpool::task(
      [](const marks& m) {
        m.set(0, this_worker::exists() ? 1 : 2);
        m.set(1, 10 + this_worker::id());
        m.set(2, 10 + static_cast<int>(this_worker::task_count()));
      },
      b.here());
  pool p(o);
  p.apply(square, 2);
  EXPECT_EQ(b->at(0), 1);
  EXPECT_EQ(b->at(1), 10);
  EXPECT_EQ(b->at(2), 10);  // no task has begun
}

// Whatever the chunks, the count is that of f's calls, the one at hand included.
TEST_P(this_worker_is, counting_its_tasks) {
  for (std::size_t chunksize : {std::size_t{0}, std::size_t{1}, std::size_t{7}}) {
    pool p(with(1));
    const auto count = [](int) { return this_worker::task_count(); };
    std::uint64_t expected = 0;
    for (std::uint64_t each : p.map({.chunksize = chunksize}, count, first(50)))
      EXPECT_EQ(each, ++expected) << chunksize;
    EXPECT_EQ(p.apply(count, 0), 51U);
    EXPECT_EQ(p.apply([] { return this_worker::task_count(); }), 52U);
  }
}

TEST_P(this_workers_life, its_threads_know_it_too) {
  pool p(with(2));
  const auto seen = p.apply([] {
    std::tuple<int, pid_t, std::uint64_t> of_thread;
    std::thread([&] {
      of_thread = {this_worker::id(), this_worker::pid(), this_worker::task_count()};
    }).join();
    return of_thread ==
           std::tuple(this_worker::id(), this_worker::pid(), this_worker::task_count());
  });
  EXPECT_TRUE(seen);
}

// What a thread sees of the count while tasks come and go never falls, and ends at the right sum.
TEST_P(this_workers_life, a_thread_may_watch_the_count) {
  pool_options o = with(1);
  o.initializer = procpool::task([] {
    auto fell = std::make_shared<std::atomic<bool>>(false);
    std::thread([fell] {  // ends with its process
      for (std::uint64_t before = 0;;) {
        const std::uint64_t now = this_worker::task_count();
        if (now < before) *fell = true;
        before = now;
      }
    })
        .detach();
    return fell;
  });
  pool p(o);
  for (int i = 0; i < 200; ++i) p.map({.chunksize = 10}, square, first(30));
  using flag = std::shared_ptr<std::atomic<bool>>;
  EXPECT_FALSE(p.apply([] { return this_worker::state<flag>()->load(); }));
  EXPECT_EQ(p.apply([] { return this_worker::task_count(); }), 6002U);
}

TEST_P(this_workers_life, a_replacement_has_its_predecessors_id) {
  pool_options o = with(2);
  o.max_tasks_per_child = 3;
  pool p(o);
  std::set<std::pair<int, int>> workers;
  for (const auto& [id, pid, count] : p.map(
           {.chunksize = 1},
           [](int) {
             return std::tuple(this_worker::id(), static_cast<int>(this_worker::pid()),
                               this_worker::task_count());
           },
           first(40))) {
    EXPECT_TRUE(id == 0 || id == 1) << id;
    EXPECT_GE(count, 1U);
    EXPECT_LE(count, 3U);
    workers.emplace(id, pid);
  }
  EXPECT_GE(workers.size(), 40U / 3);
}

TEST_P(this_workers_life, a_task_of_another_pool_has_another) {
  pool p(with(1));
  const auto [outer, inner] = p.apply([] {
    pool_options o;
    o.processes = 1;
    pool nested(o);
    return std::pair(static_cast<int>(this_worker::pid()),
                     nested.apply([] { return static_cast<int>(this_worker::pid()); }));
  });
  EXPECT_NE(outer, inner);
}

TEST_P(this_worker_is, one_pools_inside_anothers) {
  pool outer(with(1));
  const auto counts = outer.apply([] {
    pool_options o;
    o.start_method = start_method::in_process;
    pool inner(o);
    inner.map(square, first(5));
    const auto of_inner = inner.apply([] { return this_worker::task_count(); });
    return std::pair(of_inner, this_worker::task_count());
  });
  EXPECT_EQ(counts, (std::pair<std::uint64_t, std::uint64_t>(6, 1)));
}

// ---- state

TEST_P(worker_state, is_what_the_initializer_returned) {
  board b;
  pool_options o = with(2);
  o.initializer = procpool::task([](const marks& m, int n) { return model(m, n); }, b.here(), 7);
  {
    pool p(o);
    const auto seen = p.map(
        {.chunksize = 1},
        [](int x) {
          auto& m = this_worker::state<model>();
          ++m.used;
          return std::tuple(m.loaded * x, reinterpret_cast<std::uintptr_t>(&m), m.used,
                            static_cast<int>(this_worker::task_count()),
                            static_cast<int>(this_worker::pid()));
        },
        first(40));
    std::set<std::pair<int, std::uintptr_t>> objects;
    std::set<int> pids;
    for (int x = 0; x < 40; ++x) {
      const auto& [product, at, used, count, pid] = seen[static_cast<std::size_t>(x)];
      EXPECT_EQ(product, 7 * x);
      EXPECT_EQ(used, count);  // each worker has one, which all its tasks share
      objects.emplace(pid, at);
      pids.insert(pid);
    }
    EXPECT_EQ(objects.size(), pids.size());
  }
  EXPECT_EQ(b->at(0), GetParam() == start_method::in_process ? 1 : 2);
  EXPECT_EQ(b->at(1), b->at(0));  // all destroyed
}

TEST_P(worker_state, may_be_of_any_type) {
  const auto with_state = [](auto f) {
    pool_options o = with(1);
    o.initializer = procpool::task(f);
    return o;
  };
  {
    pool p(with_state([] { return std::make_unique<int>(5); }));
    EXPECT_EQ(p.apply([] { return *this_worker::state<std::unique_ptr<int>>(); }), 5);
  }
  {
    pool p(with_state([] { return std::vector<std::string>{"a", "b"}; }));
    EXPECT_EQ(p.apply([] { return this_worker::state<std::vector<std::string>>().back(); }), "b");
    EXPECT_EQ(p.apply([] { return this_worker::state<const std::vector<std::string>>().size(); }),
              2U);
  }
  {
    pool p(with_state([] { return static_cast<const char*>("text"); }));
    EXPECT_EQ(p.apply([] { return std::string(this_worker::state<const char*>()); }), "text");
  }
  {
    pool p(with_state([]() -> const std::string& {
      static const std::string copied = "copied";
      return copied;
    }));
    EXPECT_EQ(p.apply([] { return this_worker::state<std::string>(); }), "copied");
  }
  {
    pool p(with_state([]() -> std::mutex& {  // cannot be copied: nothing is kept
      static std::mutex m;
      return m;
    }));
    EXPECT_THROW(p.apply([] { static_cast<void>(this_worker::state<std::mutex>()); }),
                 std::logic_error);
  }
}

std::string message_of(pool& p, bool as_int) {
  return p.apply(
      [](bool ints) {
        try {
          if (ints)
            static_cast<void>(this_worker::state<int>());
          else
            static_cast<void>(this_worker::state<std::vector<double>>());
        } catch (const std::logic_error& e) {
          return std::string(e.what());
        }
        return std::string();
      },
      as_int);
}

TEST_P(worker_state, of_another_type_is_a_logic_error_that_names_both) {
  pool_options o = with(1);
  o.initializer = procpool::task([] { return 42; });
  pool p(o);
  const std::string message = message_of(p, false);
  EXPECT_NE(message.find("state<std::vector<double"), std::string::npos) << message;
  EXPECT_NE(message.find("returned a int"), std::string::npos) << message;
  EXPECT_EQ(message_of(p, true), "");
}

TEST_P(worker_state, of_none_is_a_logic_error_too) {
  pool without(with(1));
  EXPECT_NE(message_of(without, true).find("state<int>(): this worker has no state"),
            std::string::npos);
  pool_options o = with(1);
  o.initializer = procpool::task([] {});
  pool with_void(o);
  EXPECT_NE(message_of(with_void, true).find("has no state"), std::string::npos);
  EXPECT_THROW(with_void.apply([] { static_cast<void>(this_worker::state<int>()); }),
               std::logic_error);
}

TEST_P(worker_state_far, a_replacement_makes_its_own) {
  board b;
  pool_options o = with(1);
  o.max_tasks_per_child = 4;
  o.initializer = procpool::task([](const marks& m) { return model(m, 1); }, b.here());
  {
    pool p(o);
    for (int used : p.map(
             {.chunksize = 3}, [](int) { return ++this_worker::state<model>().used; }, first(20)))
      EXPECT_LE(used, 4);
  }
  EXPECT_GE(b->at(0), 5);
  EXPECT_EQ(b->at(0), b->at(1));
}

TEST_P(worker_state, is_not_made_by_an_initializer_that_fails) {
  board b;
  pool_options o = with(1);
  o.initializer = procpool::task(
      [](const marks& m) -> model {
        if (m.at(9) == 0) throw std::domain_error("no model");
        return {m, 1};
      },
      b.here());
  o.finalizer = procpool::task([](const marks& m) { m.add(2); }, b.here());
  {
    pool p(o);
    EXPECT_THROW(p.apply(square, 1), procpool::initializer_failed);
  }
  EXPECT_EQ(b->at(0), 0);
  EXPECT_EQ(b->at(2), 0);  // nor is it finalized
}

}  // namespace
