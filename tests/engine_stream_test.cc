// SPDX-License-Identifier: MIT
// What a stream reads of its input before the first result is asked for.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <memory>
#include <ranges>
#include <thread>

#include "engine_fixture.h"
#include "procpool/detail/stream.h"
#include "procpool/pool.h"

namespace procpool::core {
namespace {

/// n items without a byte; `before()` is called before each is read.
class empty_items final : public detail::resumable {
 public:
  explicit empty_items(std::size_t n) : left_(n) {}
  void head(detail::writer&) override {}
  std::size_t encode(detail::writer&, std::size_t most) override {
    appended_ = std::min(most, left_);
    left_ -= appended_;
    if (before) before();
    return appended_;
  }
  [[nodiscard]] std::size_t expected() const override { return unknown; }

  std::function<void()> before;

 private:
  std::size_t left_;
};

/// A stream of a pool whose only worker has answered each item before it takes the next.
class answered_at_once final : public detail::stream<int> {
 public:
  answered_at_once(const std::shared_ptr<engine>& pool, fake_backend& worker, empty_items& input,
                   std::function<void()> after)
      : stream(pool, task_options{.chunksize = 1, .buffersize = 50}, true),
        worker_(worker),
        input_(input),
        after_(std::move(after)) {
    start();
  }
  [[nodiscard]] std::size_t read() const { return read_; }

 private:
  std::size_t submit(const std::shared_ptr<detail::many<int>>& call,
                     const detail::call_options& options) override {
    guard guarded(*this, input_);
    const std::size_t n = pool().submit(call, core::entry, guarded, options);
    if (n == 0) return 0;
    pool().wait(*call, engine::clock::now());  // sent
    worker_.finish(0);
    pool().wait(*call, engine::never);
    read_ += n;
    after_();
    return n;
  }
  [[nodiscard]] const detail::resumable& input() const override { return input_; }

  fake_backend& worker_;
  empty_items& input_;
  std::function<void()> after_;
  std::size_t read_ = 0;
};

void takes_long() { std::this_thread::sleep_for(60ms); }

class engine_stream_test : public engine_test {};

TEST_F(engine_stream_test, reads_all_that_has_room_however_long_the_pool_takes) {
  make(1, 1);
  empty_items input(5);
  const answered_at_once stream(pool, *fake, input, takes_long);
  EXPECT_EQ(stream.read(), 5u);
}

TEST_F(engine_stream_test, leaves_an_input_that_takes_its_time_to_whoever_reads) {
  make(1, 1);
  empty_items input(5);
  input.before = takes_long;
  const answered_at_once stream(pool, *fake, input, [] {});
  EXPECT_EQ(stream.read(), 1u);
}

// Nothing runs ahead there.
TEST(stream_in_process, reads_no_further_while_items_take_their_time) {
  procpool::pool p({.processes = 4, .start_method = start_method::in_process});
  static int ran = 0;
  auto results = p.imap(
      {.chunksize = 1, .buffersize = 5},
      [](int x) {
        ++ran;
        takes_long();
        return x;
      },
      std::views::iota(0, 5));
  EXPECT_EQ(ran, 1);
  int sum = 0;
  for (int x : results) sum += x;
  EXPECT_EQ(sum, 10);
  EXPECT_EQ(ran, 5);
}

}  // namespace
}  // namespace procpool::core
