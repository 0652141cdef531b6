// SPDX-License-Identifier: MIT
// Initializers that fail, always or at times: a bounded number of attempts, then everything that
// waits and everything that comes fails with initializer_failed; nothing hangs, nothing respawns
// for ever.
#include <gtest/gtest.h>

#include <csignal>
#include <numeric>
#include <stdexcept>
#include <string>
#include <system_error>
#include <vector>

#include "procpool/procpool.h"
#include "support/fork_test.h"

namespace procpool {
namespace {

using namespace testing;  // NOLINT: this file is about what stands there
using testing::shared;    // not the handle

enum counters : std::size_t { starts, may_go, tasks_run };
constexpr int most_starts = 12;  // of a pool of two; what matters is that it ends

class failure_initializer : public process_test {
 protected:
  static pool_options with_initializer(int processes, task t) {
    auto o = of(processes);
    o.initializer = std::move(t);
    return o;
  }
};

int twice(int x) {
  ++shared[tasks_run];
  return 2 * x;
}

struct unloadable {
  int value = 1;
  template <class Archive>
  void save(Archive& archive) const {
    archive(value);
  }
  template <class Archive>
  void load(Archive&) {
    throw std::domain_error("cannot load");
  }
};

/// Fails once the test has its results pending.
template <class Fail>
pool_options failing(start_method method, Fail) {
  return {.processes = 2,
          .initializer = task([] {
            ++shared[starts];
            await(may_go);
            Fail{}();
          }),
          .start_method = method};
}

/// Every pending result, every later submit; and then it is quiet.
template <class Fail>
void expect_failure(start_method method, Fail fail, void (*check_fail)(const std::exception_ptr&)) {
  pool p(failing(method, fail));
  auto one = p.apply_async(twice, 1);
  auto many = p.map_async({.chunksize = 1}, twice, std::vector<int>{1, 2, 3});
  auto stream = p.imap(twice, std::vector<int>{1, 2, 3});
  shared[may_go] = 1;
  const auto failed = [&](auto f) {
    try {
      f();
      ADD_FAILURE() << "no failure";
    } catch (const initializer_failed& e) {
      EXPECT_NE(std::string(e.what()).find("initializer"), std::string::npos);
      try {
        std::rethrow_if_nested(e);
        ADD_FAILURE() << "no cause";
      } catch (...) {
        check_fail(std::current_exception());
      }
    } catch (const std::exception& e) {
      ADD_FAILURE() << e.what();
    }
  };
  failed([&] { one.get(seconds(30)); });
  failed([&] { many.get(seconds(30)); });
  failed([&] { stream.next(seconds(30)); });
  failed([&] { p.apply(twice, 1); });
  failed([&] { static_cast<void>(p.apply_async(twice, 1)); });
  failed([&] { p.map(twice, std::vector<int>{1}); });
  failed([&] { p.try_map(twice, std::vector<int>{1}); });
  failed([&] { p.imap(twice, std::vector<int>{1}).next(); });
  p.close();
  p.join();
  EXPECT_GE(shared[starts].load(), 1);
  EXPECT_LE(shared[starts].load(), most_starts);
  EXPECT_EQ(shared[tasks_run].load(), 0);
  // The zygote is gone: nobody is there to start another one.
  EXPECT_TRUE(has_no_child());
}

PROCPOOL_PROCESS_METHODS(failure_initializer);

// Complaint 4: an initializer that fails is started again for ever, and the tasks hang.
TEST_P(failure_initializer, ThatThrows) {
  expect_failure(
      GetParam(), [] { throw std::system_error(EDOM, std::generic_category(), "no model"); },
      [](const std::exception_ptr& e) {
        EXPECT_EQ(thrown_by<std::system_error>(e).code().value(), EDOM);
      });
}

TEST_P(failure_initializer, ThatThrowsWhatIsNoException) {
  expect_failure(
      GetParam(), [] { throw 7; },
      [](const std::exception_ptr& e) {
        EXPECT_STREQ(thrown_by<remote_error>(e).what(), "int: 7");
      });
}

TEST_P(failure_initializer, ThatExits) {
  expect_failure(
      GetParam(), [] { ::_exit(0); },
      [](const std::exception_ptr& e) { EXPECT_EQ(thrown_by<worker_died>(e).exit_code(), 0); });
}

TEST_P(failure_initializer, ThatCrashes) {
  expect_failure(
      GetParam(), [] { ::kill(::getpid(), SIGSEGV); },
      [](const std::exception_ptr& e) { EXPECT_EQ(thrown_by<worker_died>(e).signal(), SIGSEGV); });
}

TEST_P(failure_initializer, ThatLeavesItsThread) {
  expect_failure(
      GetParam(), [] { ::pthread_exit(nullptr); },
      [](const std::exception_ptr& e) { EXPECT_EQ(thrown_by<worker_died>(e).exit_code(), 1); });
}

TEST_P(failure_initializer, ThatFailsLeavesADestructorThatReturns) {
  shared[may_go] = 1;
  for (int round = 0; round < 5; ++round) {
    pool p(failing(GetParam(), [] { throw std::runtime_error("no"); }));
    try {
      static_cast<void>(p.apply_async(twice, 1));
    } catch (const initializer_failed&) {  // it was quicker than this call
    }
  }
  EXPECT_LE(shared[starts].load(), 5 * most_starts);
}

TEST_P(failure_initializer, ThatFailsAtFirstIsTriedAgain) {
  pool p(with_initializer(2, task([] {
                            if (++shared[starts] <= 2) throw std::runtime_error("not yet");
                          })));
  EXPECT_EQ(p.map(twice, std::vector<int>{1, 2, 3}), (std::vector<int>{2, 4, 6}));
}

// One place: with two, the order in which ends and starts are heard of could make it three running.
TEST_P(failure_initializer, ThatFailsEverySecondTimeOnlySlowsThePool) {
  auto o = with_initializer(1, task([] {
                              if (++shared[starts] % 2 == 1) {
                                if (shared[starts] % 4 == 1) ::_exit(1);
                                throw std::runtime_error("odd");
                              }
                            }));
  o.max_tasks_per_child = 2;
  pool p(o);
  std::vector<int> in(60);
  std::iota(in.begin(), in.end(), 0);
  const auto out = p.map({.chunksize = 1}, twice, in);
  for (std::size_t i = 0; i < in.size(); ++i) EXPECT_EQ(out[i], 2 * in[i]);
  EXPECT_GE(shared[starts].load(), 60);
}

// A worker that was up and dies under a task says nothing about the initializer.
TEST_P(failure_initializer, DeathsOfWorkersThatWereUpDoNotCount) {
  pool p(with_initializer(1, task([] { ++shared[starts]; })));
  for (int i = 0; i < 20; ++i)
    EXPECT_THROW(p.apply([](int) -> int { ::_exit(1); }, 0), worker_died);
  EXPECT_EQ(p.apply(twice, 1), 2);
  EXPECT_EQ(shared[starts].load(), 21);
}

TEST_P(failure_initializer, WhoseArgumentCannotBeDecodedFails) {
  pool p(with_initializer(1, task([](const unloadable&) {}, unloadable())));
  EXPECT_THROW(p.apply(twice, 1), initializer_failed);
}

}  // namespace
}  // namespace procpool
