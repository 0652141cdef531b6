// SPDX-License-Identifier: MIT
// What a process has of memory, as the kernel says it.
#include "base/memory_watch.h"

#include <gtest/gtest.h>

#include <cstddef>
#include <limits>
#include <string_view>

#include "process_census.h"
#include "support/own_memory.h"

namespace procpool::base {
namespace {

using testing::MiB;

TEST(memory_watch_test, is_over_once_the_process_has_more) {
  EXPECT_TRUE(testing::in_a_child([] {
    const memory_watch watch(testing::own_memory() + 64 * MiB);
    const bool before = watch.over();
    testing::leak(128 * MiB);
    return !before && watch.over();
  }));
}

TEST(memory_watch_test, anything_is_more_than_a_byte) { EXPECT_TRUE(memory_watch(1).over()); }

std::size_t pages(std::string_view text) {
  return anonymous_pages(text.data(), text.data() + text.size());
}

TEST(memory_watch_test, resident_less_shared_is_what_counts) {
  EXPECT_EQ(pages("765 405 377 5 0 123 0\n"), 28U);
  EXPECT_EQ(pages("1000000000 5 5 0 0 0 0\n"), 0U);
  EXPECT_EQ(pages("10 5 6 0 0 0 0\n"), 0U) << "counted one after the other";
}

TEST(memory_watch_test, what_is_no_number_is_too_much) {
  constexpr std::size_t unknown = std::numeric_limits<std::size_t>::max();
  for (const char* text : {"", "\n", "7", "7 8", "7 8 x", "-1 2 3", "7 99999999999999999999999 3"})
    EXPECT_EQ(pages(text), unknown) << text;
}

}  // namespace
}  // namespace procpool::base
