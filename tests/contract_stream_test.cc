// SPDX-License-Identifier: MIT
// The contract of streams: how far they read their input, and what fails in the middle of them.
#include <gtest/gtest.h>

#include <chrono>
#include <iterator>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>
#include "procpool/procpool.h"
#include "support/inputs.h"
#include "support/methods.h"
#include "support/samples.h"
#include "support/tasks.h"

namespace {

using namespace procpool::testing;  // NOLINT(google-build-using-namespace)
using procpool::pool;
using procpool::task_options;

class imap_window : public pool_test {};
class imap_failures : public pool_test {};
PROCPOOL_EVERY_METHOD(imap_window);
PROCPOOL_EVERY_METHOD(imap_failures);

// ---- how far the input is read

TEST_P(imap_window, any_buffersize_gives_all_results) {
  pool p(with(2));
  for (either imap_of : both) {
    for (std::size_t buffersize :
         {std::size_t{1}, std::size_t{2}, std::size_t{20}, std::size_t{40}}) {
      for (std::size_t chunksize :
           {std::size_t{0}, std::size_t{1}, std::size_t{3}, std::size_t{64}}) {
        auto stream = imap_of(p, task_options{.chunksize = chunksize, .buffersize = buffersize},
                              square, first(20));
        EXPECT_EQ(sorted(rest_of(stream)), squares(20)) << buffersize << ' ' << chunksize;
      }
    }
  }
}

TEST_P(imap_window, exactly_buffersize_is_read_before_the_first_pull) {
  pool p(with(2));
  for (either imap_of : both) {
    for (int buffersize : {1, 2, 5, 7, 64}) {
      for (std::size_t chunksize :
           {std::size_t{0}, std::size_t{1}, std::size_t{3}, std::size_t{100}}) {
        auto input = counting(1000);
        const auto begun = std::chrono::steady_clock::now();
        auto stream = imap_of(p,
                              task_options{.chunksize = chunksize,
                                           .buffersize = static_cast<std::size_t>(buffersize)},
                              square, input);
        // A first fill that takes 50 ms, on a machine with other things to do, may stop before.
        if (std::chrono::steady_clock::now() - begun < std::chrono::milliseconds(50))
          EXPECT_EQ(input.read(), buffersize) << chunksize;
        else
          EXPECT_LE(input.read(), buffersize) << chunksize;
      }
    }
  }
}

TEST_P(imap_window, never_more_than_buffersize_is_read_ahead) {
  pool p(with(2));
  for (either imap_of : both) {
    for (int buffersize : {1, 2, 5, 7, 64}) {
      for (std::size_t chunksize :
           {std::size_t{0}, std::size_t{1}, std::size_t{3}, std::size_t{100}}) {
        auto input = counting(300);
        auto stream = imap_of(p,
                              task_options{.chunksize = chunksize,
                                           .buffersize = static_cast<std::size_t>(buffersize)},
                              square, input);
        int yielded = 0;
        while (stream.next()) {
          ++yielded;
          ASSERT_LE(input.read(), yielded + buffersize) << buffersize << ' ' << chunksize;
        }
        EXPECT_EQ(yielded, 300);
        EXPECT_EQ(input.read(), 300);
      }
    }
  }
}

TEST_P(imap_window, an_empty_input_ends_at_once) {
  pool p(with(2));
  for (either imap_of : both) {
    for (std::size_t buffersize : {std::size_t{0}, std::size_t{1}, std::size_t{10}}) {
      auto stream = imap_of(p, task_options{.buffersize = buffersize}, square, counting(0));
      EXPECT_EQ(stream.next(), std::nullopt);
      EXPECT_EQ(stream.next(), std::nullopt);
    }
  }
}

TEST_P(imap_window, endless_inputs_are_read_as_results_are_taken) {
  pool p(with(2));
  for (either imap_of : both) {
    for (std::size_t buffersize : {std::size_t{0}, std::size_t{1}, std::size_t{8}}) {
      auto input = endless();
      auto stream = imap_of(p, task_options{.buffersize = buffersize}, square, input);
      std::set<int> seen;
      for (int i = 0; i < 100; ++i) seen.insert(*stream.next());
      EXPECT_EQ(seen.size(), 100U);
    }
  }
}

// Without a buffersize: a small multiple of processes × chunksize.
TEST_P(imap_window, the_default_window_is_small) {
  pool p(with(2));
  struct {
    int chunk;
    int most;  // times processes × chunksize
  } constexpr kinds[] = {{10, 16}, {1, 32}};
  for (either imap_of : both)
    for (const auto& kind : kinds) {
      auto input = endless();
      auto stream = imap_of(p, task_options{.chunksize = static_cast<std::size_t>(kind.chunk)},
                            square, input);
      EXPECT_GE(input.read(), 2 * kind.chunk);
      EXPECT_LE(input.read(), 4 * 2 * kind.chunk);
      for (int i = 1; i <= 200; ++i) {
        stream.next();
        ASSERT_LE(input.read(), i + kind.most * 2 * kind.chunk);
      }
    }
}

// ---- failures

int fail_on_three(int x) {
  if (x % 5 == 3) throw std::domain_error(std::to_string(x));
  return x;
}

TEST_P(imap_failures, a_failed_item_throws_at_its_place_and_the_stream_goes_on) {
  pool p(with(2));
  for (std::size_t chunksize : {std::size_t{0}, std::size_t{1}, std::size_t{3}, std::size_t{50}}) {
    auto stream = p.imap({.chunksize = chunksize}, fail_on_three, first(20));
    for (int i = 0; i < 20; ++i) {
      if (i % 5 == 3) {
        try {
          stream.next();
          FAIL() << i;
        } catch (const std::domain_error& e) {
          EXPECT_EQ(e.what(), std::to_string(i));
        }
      } else {
        ASSERT_EQ(stream.next(), i) << chunksize;
      }
    }
    EXPECT_EQ(stream.next(), std::nullopt);
    EXPECT_EQ(stream.next(), std::nullopt);
  }
}

TEST_P(imap_failures, unordered_has_as_many_failures_as_items_that_failed) {
  pool p(with(2));
  for (std::size_t chunksize : {std::size_t{0}, std::size_t{1}, std::size_t{3}}) {
    auto stream = p.imap_unordered({.chunksize = chunksize}, fail_on_three, first(20));
    ints good;
    std::set<std::string> bad;
    for (bool more = true; more;) {
      try {
        auto r = stream.next();
        more = r.has_value();
        if (r) good.push_back(*r);
      } catch (const std::domain_error& e) {
        bad.insert(e.what());
      }
    }
    EXPECT_EQ(good.size(), 16U);
    EXPECT_EQ(bad, (std::set<std::string>{"3", "8", "13", "18"}));
  }
}

TEST_P(imap_failures, iterators_go_on_behind_a_failure) {
  pool p(with(2));
  auto stream = p.imap({.chunksize = 3}, fail_on_three, ints{3, 1, 8, 2});
  EXPECT_THROW(stream.begin(), std::domain_error);
  auto at = stream.begin();
  EXPECT_EQ(*at, 1);
  EXPECT_THROW(++at, std::domain_error);
  ++at;
  EXPECT_EQ(*at, 2);
  ++at;
  EXPECT_TRUE(at == stream.end());
}

TEST_P(imap_failures, an_input_that_throws_gives_what_came_before_then_its_error_then_the_end) {
  pool p(with(2));
  for (int at : {0, 2, 9}) {
    for (std::size_t chunksize : {std::size_t{0}, std::size_t{1}, std::size_t{2}, std::size_t{4}}) {
      for (std::size_t buffersize : {std::size_t{0}, std::size_t{1}, std::size_t{3}}) {
        const task_options o{.chunksize = chunksize, .buffersize = buffersize};
        auto stream = p.imap(o, square, throwing(10, at));
        for (int i = 0; i < at; ++i) ASSERT_EQ(stream.next(), i * i) << at << ' ' << chunksize;
        try {
          stream.next();
          FAIL();
        } catch (const input_error& e) {
          EXPECT_EQ(e.what(), "element " + std::to_string(at));
          EXPECT_EQ(procpool::remote_info::of(e), nullptr);
        }
        EXPECT_EQ(stream.next(), std::nullopt);
        EXPECT_EQ(stream.next(), std::nullopt);
      }
    }
  }
  EXPECT_EQ(p.apply(square, 3), 9);
}

TEST_P(imap_failures, unordered_an_input_that_throws_loses_no_result) {
  pool p(with(2));
  for (int at : {0, 2, 9}) {
    for (std::size_t chunksize : {std::size_t{0}, std::size_t{1}, std::size_t{4}}) {
      auto stream = p.imap_unordered({.chunksize = chunksize}, square, throwing(10, at));
      ints good;
      int errors = 0;
      for (bool more = true; more;) {
        try {
          auto r = stream.next();
          more = r.has_value();
          if (r) good.push_back(*r);
        } catch (const input_error&) {
          ++errors;
        }
      }
      EXPECT_EQ(sorted(good), squares(at));
      EXPECT_EQ(errors, 1);
    }
  }
}

TEST_P(imap_failures, an_item_that_cannot_be_encoded_fails_at_its_place) {
  pool p(with(2));
  std::vector<unlucky> xs(20);
  for (int i = 0; i < 20; ++i) xs[static_cast<std::size_t>(i)].value = i;
  for (std::size_t chunksize : {std::size_t{0}, std::size_t{1}, std::size_t{3}, std::size_t{50}}) {
    auto stream = p.imap(
        {.chunksize = chunksize}, [](const unlucky& u) { return u.value; }, xs);
    for (int i = 0; i < 20; ++i) {
      if (i == 13) {
        EXPECT_THROW(stream.next(), codec_error);
      } else {
        ASSERT_EQ(stream.next(), i) << chunksize;
      }
    }
    EXPECT_EQ(stream.next(), std::nullopt);
  }
}

TEST_P(imap_failures, a_result_that_cannot_be_encoded_fails_at_its_place) {
  pool p(with(2));
  for (std::size_t chunksize : {std::size_t{1}, std::size_t{3}}) {
    auto stream = p.imap(
        {.chunksize = chunksize}, [](int x) { return unlucky{x}; }, first(16));
    for (int i = 0; i < 16; ++i) {
      if (i == 13) {
        EXPECT_THROW(stream.next(), procpool::serialization_error);
      } else {
        ASSERT_EQ(stream.next()->value, i) << chunksize;
      }
    }
    EXPECT_EQ(stream.next(), std::nullopt);
  }
}

}  // namespace
