// SPDX-License-Identifier: MIT
// The contract of apply and apply_async: what goes there, what comes back, what a task may throw.
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <future>
#include <map>
#include <memory>
#include <numeric>
#include <optional>
#include <set>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <tuple>
#include <variant>
#include <vector>

#include "procpool/procpool.h"
#include "support/board.h"
#include "support/methods.h"
#include "support/samples.h"

namespace {

using namespace procpool::testing;  // NOLINT(google-build-using-namespace)
using procpool::async_result;
using procpool::pool;

class apply : public pool_test {};
class apply_in_workers : public pool_test {};
PROCPOOL_EVERY_METHOD(apply);
PROCPOOL_PROCESS_METHODS(apply_in_workers);

int square(int x) { return x * x; }
double hypotenuse(double a, double b) { return a * a + b * b; }

struct account {
  std::string owner;
  int cents = 0;
  int plus(int more) const { return cents + more; }
  bool operator==(const account&) const = default;
};
struct scaled {
  std::vector<int> factors;
  int operator()(int x) const { return x * factors.at(0) + factors.at(1); }
};

TEST_P(apply, runs_every_kind_of_callable) {
  pool p(with());
  EXPECT_EQ(p.apply(square, 5), 25);
  EXPECT_EQ(p.apply(&square, 6), 36);
  EXPECT_EQ(p.apply(hypotenuse, 3, 4), 25.0);  // converted as in a call
  EXPECT_EQ(p.apply([](int a, int b) { return a - b; }, 9, 4), 5);
  EXPECT_EQ(p.apply([] { return 7; }), 7);
  int k = 3;
  double d = 0.5;
  EXPECT_EQ(p.apply([k, d](int x) { return k * x + d; }, 2), 6.5);
  EXPECT_EQ(p.apply(scaled{{2, 1}}, 10), 21);
  EXPECT_EQ(p.apply(&account::plus, account{"me", 40}, 2), 42);
  EXPECT_EQ(p.apply(&account::cents, account{"me", 40}), 40);
  EXPECT_EQ(p.apply({.chunksize = 5}, square, 5), 25);
}

TEST_P(apply, sends_and_returns_every_kind_of_value) {
  pool p(with());
  auto echo = [](auto x) { return x; };
  auto there_and_back = [&](auto value) {
    EXPECT_EQ(p.apply(echo, value), value);
    EXPECT_EQ(p.apply_async(echo, value).get(), value);
  };
  there_and_back(true);
  there_and_back(-1LL);
  there_and_back(2.5);
  there_and_back(std::string("text"));
  there_and_back(std::string());
  there_and_back(std::vector<int>{1, 2, 3});
  there_and_back(std::vector<bool>{true, false});
  there_and_back(std::map<std::string, std::vector<int>>{{"a", {1}}, {"b", {}}});
  there_and_back(std::tuple(1, std::string("two"), 3.0));
  there_and_back(std::array<int, 3>{1, 2, 3});
  there_and_back(std::optional<std::string>("yes"));
  there_and_back(std::variant<int, std::string>("left"));
  there_and_back(account{"you", 5});
  EXPECT_EQ(*p.apply([](const std::unique_ptr<int>& u) { return std::make_unique<int>(*u + 1); },
                     std::make_unique<int>(4)),
            5);
}

TEST_P(apply, passes_views_of_what_was_sent) {
  pool p(with());
  const std::vector<double> xs{1, 2, 3.5};
  EXPECT_EQ(p.apply([](std::span<const double> s) { return s[0] + s[1] + s[2]; }, xs), 6.5);
  EXPECT_EQ(p.apply([](std::string_view s) { return s.size(); }, std::string("four")), 4U);
  EXPECT_EQ(p.apply([](std::string_view s) { return std::string(s); }, "literal"), "literal");
}

TEST_P(apply, void_tasks_run) {
  board b;
  pool p(with());
  auto mark = [m = b.here()] { m.add(0); };
  p.apply(mark);
  EXPECT_EQ(b->at(0), 1);
  async_result<void> later = p.apply_async(mark);
  later.get();
  EXPECT_EQ(b->at(0), 2);
}

// Also an rvalue is only read, and a task has copies of its own.
TEST_P(apply, never_touches_the_callers_objects) {
  pool p(with());
  std::vector<int> xs{1, 2, 3};
  auto spoil = [](std::vector<int> v) {
    v.assign(5, 9);
    return v.size();
  };
  EXPECT_EQ(p.apply(spoil, xs), 5U);
  auto later = p.apply_async(spoil, xs);
  xs = {7};  // encoded in the call: this comes too late
  EXPECT_EQ(later.get(), 5U);
  EXPECT_EQ(xs, std::vector<int>{7});
}

TEST_P(apply, arguments_are_those_of_the_call) {
  pool p(with());
  std::vector<int> xs{1, 2, 3};
  auto later = p.apply_async([](const std::vector<int>& v) { return v; }, xs);
  xs[0] = 100;
  EXPECT_EQ(later.get(), (std::vector<int>{1, 2, 3}));
}

TEST_P(apply, large_values_go_both_ways) {
  pool p(with());
  std::string big(12 << 20, 'x');
  big[5'000'000] = 'y';
  EXPECT_TRUE(p.apply([](std::string s) { return s + "z"; }, big) == big + "z");
  std::vector<int> larger(procpool::detail::own_mapping / sizeof(int) + 12'345);
  std::iota(larger.begin(), larger.end(), 0);
  EXPECT_TRUE(p.apply([](std::vector<int> v) { return v; }, larger) == larger);
}

// ---- what a task throws

TEST_P(apply, the_exception_keeps_its_type_and_text) {
  pool p(with());
  auto runtime = [] { throw std::runtime_error("one"); };
  auto range = [] { throw std::out_of_range("two"); };
  auto invalid = [](int x) -> int { throw std::invalid_argument("got " + std::to_string(x)); };
  try {
    p.apply(runtime);
    FAIL();
  } catch (const std::out_of_range&) {
    FAIL();
  } catch (const std::runtime_error& e) {
    EXPECT_STREQ(e.what(), "one");
  }
  EXPECT_THROW(p.apply(range), std::out_of_range);
  EXPECT_THROW(p.apply(range), std::logic_error);
  try {
    p.apply_async(invalid, 3).get();
    FAIL();
  } catch (const std::invalid_argument& e) {
    EXPECT_STREQ(e.what(), "got 3");
  }
  EXPECT_EQ(p.apply(square, 2), 4);
}

TEST_P(apply, a_system_error_keeps_its_code) {
  pool p(with());
  try {
    p.apply([] { throw std::system_error(ENOENT, std::generic_category(), "opening"); });
    FAIL();
  } catch (const std::system_error& e) {
    EXPECT_EQ(e.code(), std::errc::no_such_file_or_directory);
    EXPECT_NE(std::string(e.what()).find("opening"), std::string::npos);
  }
}

struct homemade : std::exception {
  [[nodiscard]] const char* what() const noexcept override { return "made at home"; }
};

TEST_P(apply, another_type_becomes_a_remote_error_that_names_it) {
  pool p(with());
  try {
    p.apply([] { throw homemade(); });
    FAIL();
  } catch (const procpool::remote_error& e) {
    EXPECT_NE(std::string(e.what()).find("homemade"), std::string::npos);
    EXPECT_NE(std::string(e.what()).find("made at home"), std::string::npos);
  }
  EXPECT_THROW(p.apply([] { throw 42; }), procpool::remote_error);
  EXPECT_THROW(p.apply([] { throw "text"; }), procpool::remote_error);
  EXPECT_EQ(p.apply(square, 2), 4);
}

TEST_P(apply, an_exception_says_where_it_comes_from) {
  pool p(with(1));
  const pid_t worker = p.apply(&::getpid);
  try {
    p.apply([] { throw std::out_of_range("far away"); });
    FAIL();
  } catch (const std::out_of_range& e) {
    const auto* far = procpool::remote_info::of(e);
    ASSERT_NE(far, nullptr);
    EXPECT_EQ(far->type, "std::out_of_range");
    EXPECT_EQ(far->pid, worker);
  }
  try {
    throw std::out_of_range("here");
  } catch (const std::exception& e) {
    EXPECT_EQ(procpool::remote_info::of(e), nullptr);
  }
}

// A task's own timeout_error is told from the pool's: it comes from afar.
TEST_P(apply, a_timeout_thrown_by_the_task_is_the_tasks) {
  pool p(with());
  auto result = p.apply_async([] { throw procpool::timeout_error("mine"); });
  try {
    result.get(ages);
    FAIL();
  } catch (const procpool::timeout_error& e) {
    EXPECT_NE(procpool::remote_info::of(e), nullptr);
    EXPECT_NE(std::string(e.what()).find("mine"), std::string::npos);
  }
}

TEST_P(apply, each_failure_has_its_own_exception_object) {
  pool p(with());
  auto fail = [] { throw std::runtime_error("same"); };
  std::set<const std::exception*> seen;
  std::vector<std::exception_ptr> alive;
  for (int i = 0; i < 8; ++i) {
    try {
      p.apply_async(fail).get();
    } catch (const std::exception& e) {
      seen.insert(&e);
      alive.push_back(std::current_exception());
    }
  }
  EXPECT_EQ(seen.size(), 8U);
}

TEST_P(apply, an_argument_that_cannot_be_encoded_throws_from_the_call) {
  pool p(with());
  auto value = [](const unlucky& u) { return u.value; };
  for (int i = 0; i < 20; ++i) {
    EXPECT_THROW(p.apply(value, unlucky{13}), codec_error);
    EXPECT_THROW(static_cast<void>(p.apply_async(value, unlucky{13})), codec_error);
    EXPECT_EQ(p.apply(value, unlucky{i == 13 ? 12 : i}), i == 13 ? 12 : i);
  }
}

TEST_P(apply, a_null_function_pointer_throws_from_the_call) {
  pool p(with());
  int (*none)(int) = nullptr;
  EXPECT_THROW(p.apply(none, 1), std::invalid_argument);
  EXPECT_EQ(p.apply(square, 3), 9);
}

// ---- what is left of it

TEST_P(apply, arguments_and_results_are_released) {
  pool p(with(1));
  auto live = [] { return tracked::live(); };
  const int there = p.apply(live);
  ASSERT_EQ(tracked::live(), 0);
  for (int i = 0; i < 3; ++i) {
    {
      const tracked argument(i);
      const tracked result =
          p.apply([](const tracked& t) { return tracked(t.value + 1); }, argument);
      EXPECT_EQ(result.value, i + 1);
      EXPECT_EQ(tracked::live(), 2);
    }
    EXPECT_EQ(tracked::live(), 0);
    EXPECT_EQ(p.apply(live), there);  // before any other task: gone in the worker too
  }
  // Results that nobody fetches go with their handles; failures hold on to no argument.
  for (int i = 0; i < 10; ++i) {
    auto dropped = p.apply_async([](const tracked& t) { return t; }, tracked(i));
    dropped.wait();
  }
  EXPECT_THROW(p.apply([](const tracked&) { throw std::runtime_error("no"); }, tracked(1)),
               std::runtime_error);
  EXPECT_EQ(tracked::live(), 0);
  EXPECT_EQ(p.apply(live), there);
}

TEST_P(apply, ten_thousand_jobs_leave_nothing_behind) {
  pool p(with());
  auto warm_up = [&] {
    for (int i = 0; i < 200; ++i) ASSERT_EQ(p.apply(square, i), i * i);
  };
  warm_up();
  const auto descriptors = open_descriptors();
  const long mappings = shared_memory_mapped().count;
  const auto worker_fds = p.apply([] { return open_descriptors().size(); });
  std::vector<async_result<int>> all;
  for (int i = 0; i < 10'000; ++i) {
    all.push_back(p.apply_async(square, i % 1000));
    if (all.size() == 500) {
      for (auto& each : all) each.get();
      all.clear();
    }
  }
  EXPECT_EQ(open_descriptors(), descriptors);
  EXPECT_EQ(shared_memory_mapped().count, mappings);
  EXPECT_EQ(p.apply([] { return open_descriptors().size(); }), worker_fds);
}

TEST_P(apply, a_flood_of_submissions_is_worked_off) {
  pool p(with(1));
  std::vector<async_result<int>> all;
  for (int i = 0; i < 3000; ++i) all.push_back(p.apply_async(square, i));
  for (int i = 0; i < 3000; ++i) ASSERT_EQ(all[static_cast<std::size_t>(i)].get(), i * i);
}

TEST_P(apply, may_be_called_from_many_threads) {
  pool p(with());
  std::vector<std::future<int>> callers;
  for (int t = 0; t < 8; ++t) {
    callers.push_back(std::async(std::launch::async, [&p, t] {
      int sum = 0;
      for (int i = 0; i < 100; ++i) {
        if (i % 3 == 0)
          sum += p.apply_async(square, t).get();
        else if (i % 10 == 1)
          sum += p.map(square, std::vector<int>(5, t))[4];
        else
          sum += p.apply(square, t);
      }
      return sum;
    }));
  }
  for (int t = 0; t < 8; ++t) EXPECT_EQ(callers[static_cast<std::size_t>(t)].get(), 100 * t * t);
}

// ---- other processes

TEST_P(apply_in_workers, runs_elsewhere) {
  pool p(with(2));
  EXPECT_NE(p.apply(&::getpid), ::getpid());
}

TEST_P(apply_in_workers, does_not_wait) {
  board b;
  pool p(with(1));
  auto result = p.apply_async([m = b.here()] {
    m.await(0);
    return 5;
  });
  EXPECT_FALSE(result.ready());  // it cannot be: the task waits for us
  b->set(0);
  EXPECT_EQ(result.get(), 5);
}

TEST_P(apply_in_workers, an_idle_pool_of_two_runs_two_at_once) {
  board b;
  pool p(with(2));
  auto meet = [m = b.here()](std::size_t me) {
    m.set(me);
    m.await(1 - me);
    return ::getpid();
  };
  auto one = p.apply_async(meet, std::size_t{0});
  auto two = p.apply_async(meet, std::size_t{1});
  EXPECT_NE(one.get(), two.get());
}

// A worker's descriptors are its own and what the user had open when the pool was made.
TEST_P(apply_in_workers, has_no_descriptors_of_other_pools) {
  pool alone(with(1));
  const auto count = [] { return open_descriptors().size(); };
  const auto before = alone.apply(count);
  pool other(with(3));
  EXPECT_EQ(alone.apply(count), before);
}

// ---- in this process

class apply_in_process : public pool_test {};
INSTANTIATE_TEST_SUITE_P(contract, apply_in_process,
                         ::testing::Values(procpool::start_method::in_process), name_of);

TEST_P(apply_in_process, runs_under_its_caller) {
  pool p(with(4));
  static std::thread::id ran;
  auto note = [] { ran = std::this_thread::get_id(); };
  p.apply(note);
  EXPECT_EQ(ran, std::this_thread::get_id());
  ran = {};
  auto result = p.apply_async(note);
  EXPECT_TRUE(result.ready());
  EXPECT_EQ(ran, std::this_thread::get_id());
}

TEST_P(apply_in_process, what_runs_when_the_pool_is_terminated_has_its_arguments_until_the_end) {
  pool p(with(1));
  static pool* here = nullptr;
  static std::vector<std::string> seen;
  here = &p;
  seen.clear();
  const std::vector<std::string> xs(4, std::string(100, 'x'));
  auto f = [](const std::string& s) {
    seen.push_back(s);
    if (seen.size() != 1) return;
    here->terminate();
    // Whatever was freed by that is somebody's again.
    std::vector<std::string> others;
    for (std::size_t size = 32; size < 2000; size += 16) others.emplace_back(size, 'y');
    EXPECT_EQ(others.front().front(), 'y');
  };
  EXPECT_THROW(p.map({.chunksize = 4}, f, xs), procpool::pool_terminated);
  EXPECT_EQ(seen, xs);
}

// Through the same code path: objects are encoded and decoded, never shared.
TEST_P(apply_in_process, still_copies_what_is_sent) {
  pool p(with(1));
  static const void* seen = nullptr;
  const std::vector<int> xs{1, 2, 3};
  p.apply([](const std::vector<int>& v) { seen = v.data(); }, xs);
  EXPECT_NE(seen, nullptr);
  EXPECT_NE(seen, static_cast<const void*>(xs.data()));
  EXPECT_THROW(p.apply([](const unlucky& u) { return u.value; }, unlucky{13}), codec_error);
}

}  // namespace
