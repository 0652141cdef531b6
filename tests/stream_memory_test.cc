// SPDX-License-Identifier: MIT
// What passes through a pool is not kept: millions of items, and gigabytes go through a window,
// and the memory of the parent and of the pool is as large as that.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <span>
#include <string>
#include <vector>

#include "procpool/procpool.h"
#include "support/inputs.h"
#include "support/methods.h"
#include "support/tasks.h"

namespace procpool::testing {
namespace {

constexpr long MiB = 1024;  // of kB

// A sanitizer keeps freed memory for a while and notes on all of it; what it has in hand is no
// matter of how much has passed. It is slow, too.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr int small_items = 300'000;
constexpr int large_items = 1'000;
constexpr long own_bound = 1500 * MiB;
#else
constexpr int small_items = 10'000'000;
constexpr int large_items = 10'000;
constexpr long own_bound = 100 * MiB;
#endif

/// In kB.
struct footprint {
  long own = 0;     // of this process alone
  long shared = 0;  // of the pools' memory, whoever has touched it
};

footprint measure() {
  footprint now;
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;)
    if (word == "RssAnon:") status >> now.own;
  for (const auto& fd : std::filesystem::directory_iterator("/proc/self/fd")) {
    std::error_code gone;
    if (!std::filesystem::read_symlink(fd, gone).string().starts_with("/memfd:procpool ")) continue;
    struct stat memory {};
    if (::stat(fd.path().c_str(), &memory) == 0) now.shared += memory.st_blocks / 2;
  }
  return now;
}

/// The most that was added since it was made, and how fast it went.
class gauge {
 public:
  void sample() {
    const footprint now = measure();
    peak_.own = std::max(peak_.own, now.own - before_.own);
    peak_.shared = std::max(peak_.shared, now.shared - before_.shared);
  }
  void expect_bounded(const std::string& what, long shared_bound = 100 * MiB) const {
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begun_;
    std::printf("%s: %.1f s; at most %ld kB more in the parent, %ld kB of shared memory\n",
                what.c_str(), took.count(), peak_.own, peak_.shared);
    ::testing::Test::RecordProperty("own_kB", std::to_string(peak_.own));
    ::testing::Test::RecordProperty("shared_kB", std::to_string(peak_.shared));
    EXPECT_LT(peak_.own, own_bound);
    EXPECT_LT(peak_.shared, shared_bound);
    EXPECT_GT(peak_.shared, 0) << "that was not measured";
  }

 private:
  footprint before_ = measure();
  footprint peak_;
  std::chrono::steady_clock::time_point begun_ = std::chrono::steady_clock::now();
};

class stream_memory : public ::testing::TestWithParam<bool> {};
INSTANTIATE_TEST_SUITE_P(imap, stream_memory, ::testing::Values(true, false), [](const auto& each) {
  return each.param ? std::string("ordered") : std::string("unordered");
});

TEST_P(stream_memory, is_a_windows_for_millions_of_small_items) {
  gauge memory;
  pool p(2);
  auto stream = either{GetParam()}(
      p, [](int x) { return std::int64_t{x} + 1; }, indices(small_items));
  std::int64_t sum = 0;
  int n = 0;
  while (auto r = stream.next()) {
    sum += *r;
    if (++n % (small_items / 100) == 0) memory.sample();
  }
  EXPECT_EQ(n, small_items);
  EXPECT_EQ(sum, std::int64_t{small_items} * (small_items + std::int64_t{1}) / 2);
  memory.expect_bounded(std::to_string(n) + " items");
}

using numbers = std::vector<std::int64_t>;
constexpr std::size_t in_a_mebibyte = (std::size_t{1} << 20) / sizeof(std::int64_t);

// 1 MiB there and 1 MiB back for each item.
TEST_P(stream_memory, is_a_windows_for_gigabytes) {
  gauge memory;
  pool p(2);
  single_pass input(large_items, [block = numbers(in_a_mebibyte)](int k) mutable -> const numbers& {
    block.front() = block.back() = k;
    return block;
  });
  auto stream = either{GetParam()}(
      p,
      [](numbers v) {
        v.front() += 1;
        return v;
      },
      std::move(input));
  std::int64_t sum = 0;
  int n = 0;
  while (auto r = stream.next()) {
    ASSERT_EQ(r->size(), in_a_mebibyte);
    ASSERT_EQ(r->front(), r->back() + 1);
    sum += r->back();
    if (++n % (large_items / 100) == 0) memory.sample();
  }
  EXPECT_EQ(n, large_items);
  EXPECT_EQ(sum, std::int64_t{large_items} * (large_items - 1) / 2);
  memory.expect_bounded(std::to_string(2 * n) + " MiB");
}

// Workers that take their time, and a caller that does not.
TEST(pending_memory, is_what_a_bounded_pool_may_hold) {
  constexpr int calls = 1000;
  gauge memory;
  pool_options options;
  options.processes = 2;
  options.max_pending_bytes = std::size_t{16} << 20;
  pool p(options);
  numbers block(in_a_mebibyte);
  async_result<std::int64_t> last;
  for (int k = 0; k < calls; ++k) {
    block.back() = k;
    last = p.apply_async(
        [](std::span<const std::int64_t> v) {
          ::usleep(2000);
          return v.back();
        },
        block);
    if (k % (calls / 100) == 0) memory.sample();
  }
  EXPECT_EQ(last.get(), calls - 1);
  memory.expect_bounded(std::to_string(calls) + " MiB of arguments, 16 at a time", 32 * MiB);
}

}  // namespace
}  // namespace procpool::testing
