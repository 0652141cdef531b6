// SPDX-License-Identifier: MIT
#include "shm/arena.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <map>
#include <new>
#include <random>
#include <vector>

namespace {

/// How many more allocations of this program's succeed; negative: all.
int allocations_left = -1;

}  // namespace

// NOLINTBEGIN(cppcoreguidelines-no-malloc)
void* operator new(std::size_t size) {
  if (allocations_left == 0) throw std::bad_alloc();
  if (allocations_left > 0) --allocations_left;
  if (void* got = std::malloc(size)) return got;
  throw std::bad_alloc();
}
void operator delete(void* got) noexcept { std::free(got); }
void operator delete(void* got, std::size_t) noexcept { std::free(got); }
// NOLINTEND(cppcoreguidelines-no-malloc)

namespace procpool::shm {
namespace {

constexpr std::size_t KiB = 1024;
constexpr std::size_t MiB = 1024 * KiB;

/// A shared file without a name, whose pages can be counted.
class range {
 public:
  explicit range(std::size_t size) : size_(size), file_(::memfd_create("arena_test", MFD_CLOEXEC)) {
    EXPECT_EQ(::ftruncate(file_, static_cast<off_t>(size)), 0);
    base_ = static_cast<std::byte*>(
        ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, file_, 0));
  }
  range(const range&) = delete;
  range& operator=(const range&) = delete;
  ~range() {
    ::munmap(base_, size_);
    ::close(file_);
  }
  [[nodiscard]] std::byte* base() const { return base_; }
  [[nodiscard]] std::size_t size() const { return size_; }
  /// Bytes that have pages.
  [[nodiscard]] std::size_t resident() const {
    struct stat st {};
    ::fstat(file_, &st);
    return static_cast<std::size_t>(st.st_blocks) * 512;
  }

 private:
  std::size_t size_;
  int file_;
  std::byte* base_;
};

TEST(arena, without_memory_for_its_notes_nothing_is_taken) {
  range memory(1 * MiB);
  int failed = 0;
  for (int succeed = 0; succeed < 20; ++succeed) {
    arena a(memory.base(), memory.size());
    bool taken = false;
    allocations_left = succeed;
    try {
      a.allocate(4 * KiB);
      taken = true;
    } catch (const std::bad_alloc&) {
    }
    allocations_left = -1;
    if (taken) break;
    ++failed;
    EXPECT_EQ(a.in_use(), 0u);
    EXPECT_NO_THROW(a.allocate(1 * MiB)) << "after " << succeed;
  }
  EXPECT_EQ(failed, 8);  // a note for each size from 4 KiB to 512
}

TEST(arena, without_memory_for_its_notes_what_is_given_back_joins_its_neighbours) {
  range memory(1 * MiB);
  arena a(memory.base(), memory.size());
  std::byte* block = a.allocate(4 * KiB);
  allocations_left = 0;
  a.free(block, 4 * KiB);
  allocations_left = -1;
  EXPECT_EQ(a.in_use(), 0u);
  EXPECT_NO_THROW(a.allocate(1 * MiB));
}

TEST(arena, gives_page_aligned_blocks_at_least_as_large_as_asked) {
  range memory(1 * MiB);
  arena a(memory.base(), memory.size());
  for (std::size_t size : {std::size_t{0}, std::size_t{1}, 4 * KiB, 4 * KiB + 1, 100 * KiB}) {
    std::byte* block = a.allocate(size);
    EXPECT_EQ(static_cast<std::size_t>(block - memory.base()) % 4096, 0u);
    EXPECT_GE(arena::capacity(size), std::max<std::size_t>(size, 4 * KiB));
    std::memset(block, 0xab, arena::capacity(size));
  }
}

TEST(arena, counts_what_is_in_use) {
  range memory(1 * MiB);
  arena a(memory.base(), memory.size());
  EXPECT_EQ(a.in_use(), 0u);
  std::byte* one = a.allocate(5000);
  std::byte* two = a.allocate(1);
  EXPECT_EQ(a.in_use(), 8 * KiB + 4 * KiB);
  a.free(one, 5000);
  EXPECT_EQ(a.in_use(), 4 * KiB);
  EXPECT_EQ(a.warm(), 8 * KiB);
  a.free(two, 1);
  EXPECT_EQ(a.in_use(), 0u);
}

TEST(arena, uses_the_block_again_that_was_freed_last) {
  range memory(16 * MiB);
  arena a(memory.base(), memory.size());
  std::byte* one = a.allocate(100 * KiB);
  std::byte* two = a.allocate(100 * KiB);
  a.free(one, 100 * KiB);
  a.free(two, 100 * KiB);
  EXPECT_EQ(a.allocate(128 * KiB), two);
  EXPECT_EQ(a.allocate(65 * KiB), one);
  EXPECT_EQ(a.warm(), 0u);
}

TEST(arena, throws_bad_alloc_when_it_is_full_and_goes_on_after) {
  range memory(1 * MiB);
  arena a(memory.base(), memory.size());
  std::vector<std::byte*> blocks;
  for (int i = 0; i < 16; ++i) blocks.push_back(a.allocate(64 * KiB));
  EXPECT_THROW(a.allocate(1), std::bad_alloc);
  EXPECT_THROW(a.allocate(64 * KiB), std::bad_alloc);
  EXPECT_EQ(a.in_use(), 1 * MiB);
  a.free(blocks[7], 64 * KiB);
  EXPECT_EQ(a.allocate(64 * KiB), blocks[7]);
}

TEST(arena, what_is_larger_than_everything_is_bad_alloc) {
  range memory(1 * MiB);
  arena a(memory.base(), memory.size());
  EXPECT_THROW(a.allocate(1 * MiB + 1), std::bad_alloc);
  EXPECT_THROW(a.allocate(std::size_t{1} << 62), std::bad_alloc);
  EXPECT_THROW(a.allocate((std::size_t{1} << 63) + 1), std::bad_alloc);
  EXPECT_THROW(a.allocate(~std::size_t{0}), std::bad_alloc);
  EXPECT_EQ(a.in_use(), 0u);
  EXPECT_EQ(a.allocate(1 * MiB), memory.base());
}

TEST(arena, joins_warm_blocks_when_a_large_one_is_asked_for) {
  range memory(1 * MiB);
  arena a(memory.base(), memory.size());
  std::vector<std::byte*> blocks;
  for (int i = 0; i < 256; ++i) blocks.push_back(a.allocate(4 * KiB));
  for (std::byte* b : blocks) a.free(b, 4 * KiB);
  EXPECT_EQ(a.warm(), 1 * MiB);
  std::byte* whole = a.allocate(1 * MiB);
  EXPECT_EQ(whole, memory.base());
  EXPECT_EQ(a.warm(), 0u);
}

TEST(arena, does_not_join_across_a_block_that_is_in_use) {
  range memory(64 * KiB);
  arena a(memory.base(), memory.size());
  std::vector<std::byte*> blocks;
  for (int i = 0; i < 16; ++i) blocks.push_back(a.allocate(4 * KiB));
  for (std::size_t i = 0; i < 16; ++i)
    if (i != 5) a.free(blocks[i], 4 * KiB);
  EXPECT_THROW(a.allocate(64 * KiB), std::bad_alloc);
  EXPECT_EQ(a.allocate(32 * KiB), memory.base() + 32 * KiB);
  EXPECT_THROW(a.allocate(32 * KiB), std::bad_alloc);
}

TEST(arena, a_range_that_is_no_power_of_two_is_used_up_to_one) {
  range memory(96 * KiB);
  arena a(memory.base(), memory.size());
  std::size_t got = 0;
  try {
    for (;; ++got) {
      std::byte* b = a.allocate(4 * KiB);
      ASSERT_LE(b + 4 * KiB, memory.base() + memory.size());
    }
  } catch (const std::bad_alloc&) {
  }
  EXPECT_GE(got, 16u);
}

TEST(arena, keeps_the_pages_of_freed_blocks_warm_up_to_a_limit) {
  constexpr std::size_t each = 64 * MiB;
  range memory(std::size_t{1} << 30);
  arena a(memory.base(), memory.size());
  std::vector<std::byte*> blocks;
  for (int i = 0; i < 6; ++i) blocks.push_back(a.allocate(each));
  // One page in each is enough to see it go.
  for (std::byte* b : blocks) *b = std::byte{1};
  EXPECT_EQ(memory.resident(), 6 * 4096u);
  for (std::byte* b : blocks) a.free(b, each);
  EXPECT_EQ(a.warm(), arena::most_warm);
  EXPECT_EQ(memory.resident(), 4 * 4096u) << "the last two are over the limit";
  EXPECT_EQ(*blocks[3], std::byte{1});
  // What was given back can be had again, and joined.
  EXPECT_NO_THROW(a.allocate(512 * MiB));
}

TEST(arena, gives_warm_pages_back_when_they_must_be_joined) {
  range memory(64 * KiB);
  arena a(memory.base(), memory.size());
  std::vector<std::byte*> blocks;
  for (int i = 0; i < 16; ++i) {
    blocks.push_back(a.allocate(4 * KiB));
    *blocks.back() = std::byte{1};
  }
  EXPECT_EQ(memory.resident(), 64 * KiB);
  for (std::byte* b : blocks) a.free(b, 4 * KiB);
  EXPECT_EQ(memory.resident(), 64 * KiB);
  static_cast<void>(a.allocate(64 * KiB));
  EXPECT_EQ(memory.resident(), 0u);
}

// Against a reference: blocks never overlap, never leave the range, and keep what was written into
// them.
TEST(arena, random_use_never_hands_out_a_byte_twice) {
  for (unsigned seed = 1; seed <= 10; ++seed) {
    range memory(4 * MiB);
    arena a(memory.base(), memory.size());
    std::mt19937 random(seed);
    struct held {
      std::size_t size;
      unsigned char mark;
    };
    std::map<std::byte*, held> reference;
    std::size_t in_use = 0;
    int refused = 0;
    for (int i = 0; i < 6000; ++i) {
      if (reference.empty() || random() % 100 < 55) {
        std::size_t size = std::size_t{1} << random() % 19;
        size += random() % size;
        std::byte* b = nullptr;
        try {
          b = a.allocate(size);
        } catch (const std::bad_alloc&) {
          ++refused;
          continue;
        }
        ASSERT_GE(b, memory.base());
        ASSERT_LE(b + arena::capacity(size), memory.base() + memory.size());
        auto after = reference.lower_bound(b);
        if (after != reference.end()) {
          ASSERT_LE(b + arena::capacity(size), after->first);
        }
        if (after != reference.begin()) {
          auto before = std::prev(after);
          ASSERT_LE(before->first + arena::capacity(before->second.size), b);
        }
        auto mark = static_cast<unsigned char>(random());
        b[0] = b[arena::capacity(size) - 1] = std::byte{mark};
        reference[b] = {size, mark};
        in_use += arena::capacity(size);
      } else {
        auto at = std::next(reference.begin(), static_cast<long>(random() % reference.size()));
        ASSERT_EQ(at->first[0], std::byte{at->second.mark});
        ASSERT_EQ(at->first[arena::capacity(at->second.size) - 1], std::byte{at->second.mark});
        a.free(at->first, at->second.size);
        in_use -= arena::capacity(at->second.size);
        reference.erase(at);
      }
      ASSERT_EQ(a.in_use(), in_use);
      ASSERT_LE(a.in_use() + a.warm(), memory.size());
    }
    EXPECT_GT(refused, 0) << "the range was never full: too easy";
    for (const auto& [b, h] : reference) a.free(b, h.size);
    EXPECT_EQ(a.in_use(), 0u);
    EXPECT_EQ(a.allocate(4 * MiB), memory.base()) << "everything is joined again";
  }
}

TEST(arena_reserve, takes_the_very_block_and_leaves_the_rest) {
  range r(1 * MiB);
  arena a(r.base(), r.size());
  ASSERT_TRUE(a.reserve(r.base() + 64 * KiB, 16 * KiB));
  ASSERT_TRUE(a.reserve(r.base(), 4 * KiB));
  ASSERT_TRUE(a.reserve(r.base() + 512 * KiB, 300 * KiB));
  EXPECT_EQ(a.in_use(), 16 * KiB + 4 * KiB + 512 * KiB);
  std::vector<std::byte*> all;
  try {
    for (;;) all.push_back(a.allocate(4 * KiB));
  } catch (const std::bad_alloc&) {
  }
  EXPECT_EQ(all.size(), 128u - 4 - 1);
  for (const std::byte* b : all) {
    const auto at = static_cast<std::size_t>(b - r.base());
    EXPECT_TRUE(at >= 4 * KiB && (at < 64 * KiB || at >= 80 * KiB) && at < 512 * KiB) << at;
  }
  for (std::byte* b : all) a.free(b, 4 * KiB);
  a.free(r.base(), 4 * KiB);
  a.free(r.base() + 64 * KiB, 16 * KiB);
  a.free(r.base() + 512 * KiB, 300 * KiB);
  EXPECT_EQ(a.in_use(), 0u);
  EXPECT_EQ(a.allocate(1 * MiB), r.base());
}

TEST(arena_reserve, takes_what_is_kept_warm) {
  range r(1 * MiB);
  arena a(r.base(), r.size());
  std::byte* block = a.allocate(8 * KiB);
  a.free(block, 8 * KiB);
  ASSERT_NE(a.warm(), 0u);
  EXPECT_TRUE(a.reserve(block, 8 * KiB));
  EXPECT_NE(a.allocate(8 * KiB), block);
}

TEST(arena_reserve, refuses_what_is_not_free_or_no_block) {
  range r(1 * MiB);
  arena a(r.base(), r.size());
  ASSERT_TRUE(a.reserve(r.base() + 64 * KiB, 16 * KiB));
  EXPECT_FALSE(a.reserve(r.base() + 64 * KiB, 16 * KiB));
  EXPECT_FALSE(a.reserve(r.base() + 68 * KiB, 4 * KiB));  // in it
  EXPECT_FALSE(a.reserve(r.base(), 128 * KiB));           // around it
  EXPECT_FALSE(a.reserve(r.base() + 4 * KiB, 8 * KiB));   // not its place
  EXPECT_FALSE(a.reserve(r.base() + 4 * KiB + 8, 4 * KiB));
  EXPECT_FALSE(a.reserve(r.base() + 1 * MiB, 4 * KiB));
  EXPECT_FALSE(a.reserve(r.base(), 2 * MiB));
  EXPECT_EQ(a.in_use(), 16 * KiB);
}

TEST(arena_reserve, changes_nothing_without_memory_for_its_notes) {
  range r(1 * MiB);
  arena a(r.base(), r.size());
  for (int n = 0; n < 4; ++n) {
    allocations_left = n;
    bool threw = false;
    try {
      static_cast<void>(a.reserve(r.base() + 64 * KiB, 16 * KiB));
    } catch (const std::bad_alloc&) {
      threw = true;
    }
    allocations_left = -1;
    EXPECT_TRUE(threw);
    EXPECT_EQ(a.in_use(), 0u);
  }
  EXPECT_EQ(a.allocate(1 * MiB), r.base());
}

}  // namespace
}  // namespace procpool::shm
