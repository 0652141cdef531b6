// SPDX-License-Identifier: MIT
// The contract of waiting for one of several results, or for all: wait_any, wait_all,
// wait_first_error.
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <functional>
#include <future>
#include <list>
#include <memory>
#include <stdexcept>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "procpool/procpool.h"
#include "support/board.h"
#include "support/doors.h"
#include "support/methods.h"
#include "support/tasks.h"

namespace {

using namespace procpool::testing;  // NOLINT(google-build-using-namespace)
using namespace std::chrono_literals;
using procpool::as_completed;
using procpool::async_result;
using procpool::pool;
using procpool::timeout_error;
using procpool::wait_all;
using procpool::wait_any;
using procpool::wait_first_error;
using clock = std::chrono::steady_clock;

class several : public pool_test {};
class several_pending : public pool_test {};  // some are not there yet
PROCPOOL_EVERY_METHOD(several);
PROCPOOL_PROCESS_METHODS(several_pending);

int fail(int x) { throw std::domain_error("no " + std::to_string(x)); }

TEST_P(several, finished_ones) {
  pool p(with());
  results rs;
  for (int i = 0; i < 4; ++i) rs.push_back(p.apply_async(square, i));
  wait_all(rs);
  EXPECT_TRUE(wait_all(rs, 0s));
  for (auto& r : rs) EXPECT_TRUE(r.ready());
  EXPECT_EQ(wait_any(rs), 0U);
  EXPECT_EQ(wait_any(rs, 0s), 0U);
  EXPECT_EQ(wait_first_error(rs), std::nullopt);
  EXPECT_EQ(wait_first_error(rs, -1s), std::nullopt);
  int sum = 0;
  std::size_t i = 0;
  for (auto& r : as_completed(rs)) {
    EXPECT_EQ(&r, &rs[i++]);  // in their order
    sum += r.get();
  }
  EXPECT_EQ(sum, 0 + 1 + 4 + 9);
}

TEST_P(several, failed_ones) {
  pool p(with());
  results rs;
  rs.push_back(p.apply_async(square, 1));
  rs.push_back(p.apply_async(fail, 2));
  rs.push_back(p.apply_async(fail, 3));
  wait_all(rs);
  EXPECT_EQ(wait_first_error(rs), 1U);
  EXPECT_EQ(wait_first_error(rs, 0s), 1U);
  EXPECT_THROW(rs[1].get(), std::domain_error);
  EXPECT_EQ(wait_first_error(rs), 2U);  // what was got is passed over
  EXPECT_EQ(wait_any(rs), 0U);
  EXPECT_EQ(rs[0].get(), 1);
  EXPECT_EQ(wait_any(rs), 2U);
  EXPECT_THROW(rs[2].get(), std::domain_error);
  EXPECT_THROW(wait_any(rs), std::logic_error);  // none is left
  EXPECT_THROW(wait_any(rs, 1s), std::logic_error);
  wait_all(rs);
  EXPECT_EQ(wait_first_error(rs), std::nullopt);
  for (auto& r : as_completed(rs)) FAIL() << r.to_string();
}

TEST_P(several, none_at_all) {
  results none;
  EXPECT_THROW(wait_any(none), std::logic_error);
  wait_all(none);
  EXPECT_TRUE(wait_all(none, 0s));
  EXPECT_EQ(wait_first_error(none), std::nullopt);
  for (auto& r : as_completed(none)) FAIL() << r.to_string();
}

// The same one twice is the same one.
TEST_P(several, duplicates) {
  pool p(with());
  auto r = p.apply_async(square, 3);
  const std::vector<async_result<int>*> twice{&r, &r};
  wait_all(twice);
  EXPECT_EQ(wait_any(twice), 0U);
  EXPECT_EQ(wait_first_error(twice), std::nullopt);
  int times = 0;
  for (auto& each : as_completed(twice)) {
    EXPECT_EQ(&each, &r);
    ++times;
  }
  EXPECT_EQ(times, 1);
}

TEST_P(several, in_every_kind_of_range) {
  pool p(with());
  auto a = p.apply_async(square, 1);
  auto b = p.apply_async(square, 2);
  std::array<async_result<int>*, 2> pointers{&a, &b};
  EXPECT_LT(wait_any(pointers), 2U);
  std::vector<std::reference_wrapper<async_result<int>>> wrappers{a, b};
  EXPECT_TRUE(wait_all(wrappers, ages));
  int sum = 0;
  for (auto& r : as_completed(std::vector<std::reference_wrapper<async_result<int>>>{a, b}))
    sum += r.get();
  EXPECT_EQ(sum, 5);
  std::list<async_result<std::string>> texts;
  texts.push_back(p.apply_async([] { return std::string("text"); }));
  const auto& seen_const = texts;
  wait_all(seen_const);
  for (const auto& r : as_completed(seen_const)) EXPECT_TRUE(r.successful());
  std::vector<std::unique_ptr<async_result<void>>> owners;
  owners.push_back(std::make_unique<async_result<void>>(p.apply_async([] {})));
  EXPECT_EQ(wait_any(owners), 0U);
  EXPECT_EQ(wait_first_error(owners, ages), std::nullopt);
  static_assert(std::ranges::input_range<procpool::completed_results<async_result<int>>>);
  static_assert(std::movable<procpool::completed_results<async_result<int>>>);
}

TEST_P(several, of_different_types) {
  pool p(with());
  auto number = p.apply_async(square, 3);
  auto text = p.apply_async([] { return std::string("x"); });
  auto bad = p.map_async(fail, ints{1});
  wait_all(number, text, bad);
  EXPECT_EQ(wait_any(number, text, bad), 0U);
  EXPECT_EQ(wait_first_error(std::tie(number, text, bad)), 2U);
  EXPECT_TRUE(wait_all(std::tie(number, text), 0s));
  EXPECT_EQ(number.get(), 9);
  EXPECT_EQ(wait_any(std::tie(number, text, bad), ages), 1U);
}

TEST_P(several, of_several_pools) {
  pool p(with());
  pool q(with());
  results rs;
  for (int i = 0; i < 20; ++i) rs.push_back((i % 2 == 0 ? p : q).apply_async(square, i));
  int sum = 0;
  for (auto& r : as_completed(rs, ages)) sum += r.get();
  EXPECT_EQ(sum, 2470);
}

TEST_P(several, outlive_their_pools) {
  results rs;
  {
    pool p(with());
    pool q(with());
    for (int i = 0; i < 4; ++i) rs.push_back((i % 2 == 0 ? p : q).apply_async(square, i));
  }
  wait_all(rs);
  EXPECT_EQ(wait_any(rs), 0U);
  int sum = 0;
  for (auto& r : as_completed(rs)) sum += r.get();
  EXPECT_EQ(sum, 14);
}

TEST_P(several_pending, wait_any_says_which_completes_first) {
  board b;
  pool p(with(3));
  results rs = pending(p, b, 3);
  EXPECT_EQ(wait_any(rs, 0s), std::nullopt);
  EXPECT_EQ(wait_any(rs, 1ms), std::nullopt);
  auto waiter = std::async(std::launch::async, [&] { return wait_any(rs); });
  EXPECT_EQ(waiter.wait_for(1ms), std::future_status::timeout);
  b->set(2);
  EXPECT_EQ(waiter.get(), 2U);
  EXPECT_FALSE(rs[0].ready());
  EXPECT_EQ(rs[2].get(), 2);
  b->set(0);
  EXPECT_EQ(wait_any(rs, ages), 0U);
  EXPECT_EQ(rs[0].get(), 0);
  b->set(1);
  EXPECT_EQ(wait_any(rs), 1U);
  EXPECT_EQ(rs[1].get(), 1);
}

TEST_P(several_pending, wait_any_does_not_wait_when_one_has_completed) {
  board b;
  pool p(with(2));
  results rs = pending(p, b, 1);
  rs.push_back(p.apply_async(square, 3));
  rs.back().wait();
  EXPECT_EQ(wait_any(rs), 1U);
  EXPECT_EQ(wait_any(rs, -1h), 1U);
  open_all(b, 1);
}

TEST_P(several_pending, wait_first_error_waits_for_an_error) {
  board b;
  pool p(with(3));
  results rs = pending(p, b, 2);
  rs.push_back(p.apply_async(fails_once_open(b), 2));
  auto waiter = std::async(std::launch::async, [&] { return wait_first_error(rs); });
  b->set(0);  // a success ends nothing
  EXPECT_EQ(waiter.wait_for(10ms), std::future_status::timeout);
  b->set(2);
  EXPECT_EQ(waiter.get(), 2U);
  EXPECT_FALSE(rs[1].ready());
  b->set(1);
  wait_all(rs);
}

TEST_P(several_pending, wait_first_error_when_some_have_completed) {
  board b;
  pool p(with(3));
  results rs = pending(p, b, 2);
  b->set(0);
  rs[0].wait();
  rs.push_back(p.apply_async(fails_once_open(b), 2));
  EXPECT_THROW(wait_first_error(rs, 1ms), timeout_error);
  b->set(2);
  EXPECT_EQ(wait_first_error(rs, ages), 2U);
  b->set(1);
}

TEST_P(several_pending, wait_first_error_when_one_has_failed) {
  board b;
  pool p(with(2));
  results rs = pending(p, b, 1);
  rs.push_back(p.apply_async(fail, 1));
  rs.back().wait();
  EXPECT_EQ(wait_first_error(rs), 1U);
  EXPECT_EQ(wait_first_error(rs, -1s), 1U);
  open_all(b, 1);
}

TEST_P(several_pending, wait_first_error_ends_when_all_have_ended) {
  board b;
  pool p(with(1));
  results rs = pending(p, b, 3);
  try {
    wait_first_error(rs, 1ms);
    FAIL();
  } catch (const timeout_error& e) {
    EXPECT_STREQ(e.what(), "procpool: 3 of 3 results are unfinished");
  }
  EXPECT_TRUE(rs[2].cancel());  // that is no failure
  open_all(b, 2);
  EXPECT_EQ(wait_first_error(rs), std::nullopt);
}

TEST_P(several_pending, wait_all_waits_for_all) {
  board b;
  pool p(with(2));
  results rs = pending(p, b, 2);
  b->set(0);
  EXPECT_FALSE(wait_all(rs, 0s));
  EXPECT_FALSE(wait_all(rs, 1ms));
  EXPECT_FALSE(wait_all(rs, clock::now() + 1ms));
  EXPECT_FALSE(wait_all(rs, std::chrono::system_clock::now() - 1h));
  b->set(1);
  EXPECT_TRUE(wait_all(rs, ages));
  EXPECT_EQ(rs[0].get() + rs[1].get(), 1);
}

TEST_P(several_pending, a_cancelled_one_has_completed) {
  board b;
  pool p(with(1));
  results rs = pending(p, b, 3);
  EXPECT_EQ(wait_any(rs, 0s), std::nullopt);
  EXPECT_TRUE(rs[2].cancel());
  EXPECT_EQ(wait_any(rs), 2U);
  b->set(0);
  b->set(1);
  wait_all(rs);
  EXPECT_THROW(rs[2].get(), procpool::task_cancelled);
}

TEST_P(several_pending, of_several_pools_which_completes_first) {
  board b;
  pool p(with(1));
  pool q(with(1));
  results rs;
  rs.push_back(p.apply_async(opens(b), 0));
  rs.push_back(q.apply_async(opens(b), 1));
  EXPECT_EQ(wait_any(rs, 0s), std::nullopt);
  EXPECT_EQ(wait_any(rs, 1ms), std::nullopt);
  EXPECT_THROW(wait_first_error(rs, 1ms), timeout_error);
  auto waiter = std::async(std::launch::async, [&] { return wait_any(rs); });
  EXPECT_EQ(waiter.wait_for(1ms), std::future_status::timeout);
  b->set(1);
  EXPECT_EQ(waiter.get(), 1U);
  EXPECT_FALSE(wait_all(rs, 1ms));
  ints seen;
  for (auto& r : as_completed(rs)) {
    seen.push_back(r.get());
    b->set(0);
  }
  EXPECT_EQ(seen, (ints{1, 0}));
}

TEST_P(several_pending, come_to_an_end_with_their_pools) {
  board b;
  pool p(with(1));
  pool q(with(1));
  results rs;
  rs.push_back(p.apply_async(opens(b), 0));
  rs.push_back(q.apply_async(opens(b), 1));
  auto waiter = std::async(std::launch::async, [&] { return wait_first_error(rs); });
  EXPECT_EQ(waiter.wait_for(1ms), std::future_status::timeout);
  q.terminate();
  EXPECT_EQ(waiter.get(), 1U);
  auto dies = p.apply_async([](int) { return 1; }, 1);
  p.terminate();
  wait_all(rs[0], dies);
  EXPECT_THROW(rs[0].get(), procpool::pool_terminated);
}

TEST_P(several_pending, a_worker_that_dies_completes_its_result) {
  pool p(with(1));
  results rs;
  rs.push_back(p.apply_async([](int) -> int { ::_exit(3); }, 0));
  rs.push_back(p.apply_async(square, 2));
  EXPECT_EQ(wait_first_error(rs, ages), 0U);
  EXPECT_TRUE(wait_all(rs, ages));
  EXPECT_EQ(rs[1].get(), 4);
}

TEST_P(several_pending, must_not_be_waited_for_in_a_callback) {
  board b;
  pool p(with(2));
  pool q(with(2));
  results own = pending(p, b, 1);
  const auto refused = [&](auto wait) {
    auto r = p.apply_async(square, 1).then([&](int) { wait(); });
    EXPECT_THROW(r.get(ages), std::logic_error);
  };
  refused([&] { wait_any(own); });
  refused([&] { wait_all(own); });
  refused([&] { wait_first_error(own); });
  refused([&] {
    for (auto& r : as_completed(own)) static_cast<void>(r);
  });
  own.push_back(q.apply_async(opens(b), 1));
  refused([&] { wait_any(own); });  // of two pools, one of them the callback's
  results others;
  others.push_back(q.apply_async(square, 5));
  // Of another pool alone: its own thread brings them.
  EXPECT_EQ(p.apply_async(square, 1).then([&](int) { return wait_any(others, ages); }).get(ages),
            0U);
  open_all(b, 2);
  wait_all(own);
}

}  // namespace
