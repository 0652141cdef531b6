// SPDX-License-Identifier: MIT
// The pool's memory: what it is, who sees which part of it, and that nothing is left of it.
#include "shm/segment.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "base/process_mark.h"
#include "process_census.h"
#include "shm/held_blocks.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool sanitized = true;
#else
constexpr bool sanitized = false;
#endif

namespace procpool::shm {
namespace {

using procpool::testing::census;
using procpool::testing::in_a_child;

/// Which parts of the pool's memory this process has mapped, as offsets in it.
std::vector<std::pair<std::uint64_t, std::uint64_t>> mapped_parts() {
  std::ifstream maps("/proc/self/maps");
  std::vector<std::pair<std::uint64_t, std::uint64_t>> all;
  for (std::string line; std::getline(maps, line);) {
    if (line.find("memfd:procpool") == std::string::npos) continue;
    std::uint64_t from = 0;
    std::uint64_t to = 0;
    std::uint64_t offset = 0;
    if (std::sscanf(line.c_str(), "%lx-%lx %*s %lx", &from, &to, &offset) == 3)
      all.emplace_back(offset, offset + (to - from));
  }
  return all;
}

/// The descriptor of the pool's memory; -1: there is none.
int descriptor() {
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    std::error_code gone;
    auto target = std::filesystem::read_symlink(entry.path(), gone).string();
    if (target.find("memfd:procpool") != std::string::npos)
      return std::stoi(entry.path().filename().string());
  }
  return -1;
}

/// The signal that ends a child running `body`; 0: it ended by itself.
template <class Body>
int signal_of_child(Body body) {
  pid_t pid = ::fork();
  if (pid == 0) {
    // Without a sanitizer's, or anybody's, report.
    ::signal(SIGSEGV, SIG_DFL);
    ::signal(SIGBUS, SIG_DFL);
    struct rlimit none {};
    ::setrlimit(RLIMIT_CORE, &none);
    body();
    ::_exit(0);
  }
  int status = 0;
  ::waitpid(pid, &status, 0);
  return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

TEST(segment, says_in_its_header_what_it_is) {
  segment s(3);
  const header& h = s.head();
  EXPECT_EQ(h.magic, magic);
  EXPECT_EQ(h.version, version);
  EXPECT_EQ(h.parcels_size, s.parcels().size());
  EXPECT_EQ(h.window_size, results_at + s.results_size());
  EXPECT_EQ(h.windows_at, h.parcels_at + h.parcels_size);
  EXPECT_EQ(reinterpret_cast<const std::byte*>(&h) + h.parcels_at, s.parcels().data());
}

TEST(segment, all_of_it_can_be_used_and_only_what_is_touched_has_pages) {
  segment s(2);
  struct stat st {};
  ASSERT_EQ(::fstat(descriptor(), &st), 0);
  EXPECT_EQ(static_cast<std::uint64_t>(st.st_size), s.head().windows_at + 2 * s.head().window_size);
  auto before = st.st_blocks;
  s.parcels().front() = s.parcels().back() = std::byte{1};
  for (std::uint32_t w : {0u, 1u}) {
    auto* results = reinterpret_cast<std::byte*>(&s.window_of(w)) + results_at;
    results[0] = results[s.results_size() - 1] = std::byte{static_cast<unsigned char>(w + 2)};
  }
  ASSERT_EQ(::fstat(descriptor(), &st), 0);
  EXPECT_LE(st.st_blocks - before, 6 * 8) << "six pages were touched";
  EXPECT_EQ(reinterpret_cast<std::byte*>(&s.window_of(0))[results_at], std::byte{2});
  EXPECT_EQ(reinterpret_cast<std::byte*>(&s.window_of(1))[results_at], std::byte{3});
}

TEST(segment, is_sealed_nobody_can_cut_it_under_the_others) {
  segment s(1);
  int fd = descriptor();
  ASSERT_GE(fd, 0);
  int seals = ::fcntl(fd, F_GET_SEALS);
  EXPECT_EQ(seals & (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL), F_SEAL_SHRINK | F_SEAL_SEAL);
  EXPECT_EQ(::ftruncate(fd, 4096), -1);
  EXPECT_EQ(errno, EPERM);
  EXPECT_EQ(::fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
}

TEST(segment, grows_by_windows_and_keeps_what_it_has) {
  census before;
  {
    segment s(1);
    window* first = &s.window_of(0);
    first->start = 100;
    s.parcels()[0] = std::byte{77};
    s.grow(3);
    s.grow(2);  // it has more
    EXPECT_EQ(&s.window_of(0), first);
    EXPECT_EQ(first->start, 100u);
    EXPECT_EQ(s.parcels()[0], std::byte{77});
    for (std::uint32_t w : {1u, 2u}) {
      auto* bytes = reinterpret_cast<std::byte*>(&s.window_of(w));
      bytes[results_at + s.results_size() - 1] = std::byte{static_cast<unsigned char>(w)};
      s.window_of(w).start = 100 + w;
    }
    EXPECT_EQ(signal_of_child([&] {
                static_cast<void>(*const_cast<volatile std::uint32_t*>(&s.window_of(2).start));
              }),
              SIGSEGV)
        << "a new window is there in a forked process";
    EXPECT_TRUE(in_a_child([&] {
      window& mine = s.open_window(2);
      return mine.start == 102 &&
             reinterpret_cast<std::byte*>(&mine)[results_at + s.results_size() - 1] == std::byte{2};
    }));
  }
  EXPECT_TRUE(mapped_parts().empty());
  EXPECT_TRUE(before.unchanged());
}

TEST(segment, growing_beyond_what_the_system_allows_throws_and_changes_nothing) {
  EXPECT_TRUE(in_a_child([] {
    segment s(1);
    struct rlimit limit {};
    ::getrlimit(RLIMIT_FSIZE, &limit);
    limit.rlim_cur = s.head().windows_at + 2 * s.head().window_size;
    ::setrlimit(RLIMIT_FSIZE, &limit);
    s.grow(2);
    try {
      s.grow(3);
      return false;
    } catch (const std::system_error& e) {
      if (e.code().value() != EFBIG) return false;
    }
    s.window_of(1).start = 7;
    return s.window_of(1).start == 7 && mapped_parts().size() == 3;
  }));
}

TEST(segment, tells_what_takes_memory) {
  segment s(2);
  const std::uint64_t first = s.place_of(s.window_of(0));
  const std::uint64_t second = s.place_of(s.window_of(1));
  EXPECT_EQ(first, s.head().windows_at);
  EXPECT_EQ(second, first + s.head().window_size);
  EXPECT_FALSE(s.takes_memory(first, second + s.head().window_size)) << "nothing, nor behind it";
  reinterpret_cast<std::byte*>(&s.window_of(1))[results_at + 4096] = std::byte{1};
  EXPECT_FALSE(s.takes_memory(first, second));
  EXPECT_FALSE(s.takes_memory(second, second + results_at + 4096));
  EXPECT_TRUE(s.takes_memory(second, second + results_at + 8192));
  EXPECT_FALSE(s.takes_memory(second + results_at + 8192, second + s.head().window_size));
}

TEST(segment, what_an_ended_worker_leaves_goes_back_and_nobody_elses) {
  const auto s = std::make_shared<segment>(2);
  const auto mark = std::make_shared<const base::process_mark>();
  const auto results = [&](std::uint32_t w) {
    return reinterpret_cast<std::byte*>(&s->window_of(w)) + results_at;
  };
  std::vector<std::shared_ptr<held_blocks>> held;
  for (std::uint32_t w = 0; w < 2; ++w) {
    held.push_back(std::make_shared<held_blocks>(s, mark, s->window_of(w), s->results_size()));
    held[w]->starting();
    for (const std::size_t page : {0, 1, 2, 5, 100}) results(w)[page * 4096] = std::byte{1};
  }
  const auto in_use = [&] {
    struct ::stat st {};
    ::fstat(s->descriptor(), &st);
    return static_cast<int>(st.st_blocks * 512 / 4096);
  };
  const int before = in_use();
  const auto vector = held[0]->take(std::uint64_t{5} * 4096, 100);
  held[0]->ended(std::size_t{2} * 4096);
  EXPECT_EQ(in_use(), before - 2);
  EXPECT_EQ(results(0)[std::size_t{5} * 4096], std::byte{1});
  held[0]->ended(std::size_t{2} * 4096);
  EXPECT_EQ(in_use(), before - 2);
  EXPECT_EQ(results(1)[std::size_t{100} * 4096], std::byte{1});
}

TEST(segment, leaves_nothing_behind) {
  census before;
  {
    segment s(4);
    EXPECT_FALSE(mapped_parts().empty());
  }
  EXPECT_TRUE(mapped_parts().empty());
  EXPECT_TRUE(before.unchanged());
}

TEST(segment, a_worker_can_only_read_what_the_parent_writes) {
  segment s(2);
  s.parcels()[0] = std::byte{77};
  EXPECT_TRUE(in_a_child([&] {
    s.protect();
    return s.parcels()[0] == std::byte{77} && s.head().magic == magic;
  }));
  EXPECT_EQ(signal_of_child([&] {
              s.protect();
              static_cast<volatile std::byte&>(s.parcels()[0]) = std::byte{1};
            }),
            SIGSEGV);
  EXPECT_EQ(signal_of_child([&] {
              s.protect();
              s.head().bell.store(1);
            }),
            SIGSEGV);
  EXPECT_EQ(s.parcels()[0], std::byte{77});
  s.parcels()[0] = std::byte{78};  // the parent still may
}

TEST(segment, no_window_is_inherited_and_a_worker_maps_its_own_alone) {
  segment s(3);
  for (std::uint32_t w = 0; w < 3; ++w) s.window_of(w).start = 100 + w;
  for (std::uint32_t w = 0; w < 3; ++w) {
    EXPECT_EQ(signal_of_child([&] {
                static_cast<void>(*const_cast<volatile std::uint32_t*>(&s.window_of(w).start));
              }),
              SIGSEGV)
        << "window " << w << " is there in a forked process";
  }
  EXPECT_TRUE(in_a_child([&] {
    window& mine = s.open_window(1);
    if (mine.start != 101 || descriptor() != -1) return false;
    mine.start = 201;
    reinterpret_cast<std::byte*>(&mine)[results_at + s.results_size() - 1] = std::byte{9};
    return true;
  }));
  EXPECT_EQ(s.window_of(0).start, 100u);
  EXPECT_EQ(s.window_of(1).start, 201u);
  EXPECT_EQ(s.window_of(2).start, 102u);
  // By what is mapped, not by address: its own may have come to lie where another was.
  EXPECT_TRUE(in_a_child([&] {
    s.open_window(1);
    std::uint64_t from = s.head().windows_at + s.head().window_size;
    std::uint64_t to = from + s.head().window_size;
    bool own = false;
    for (const auto& [begin, end] : mapped_parts()) {
      if (begin >= from && end <= to)
        own = true;
      else if (end > s.head().windows_at)
        return false;
    }
    return own;
  }));
}

TEST(segment, where_addresses_are_limited_it_is_smaller) {
  if (sanitized) GTEST_SKIP() << "a sanitizer has taken more addresses than any limit leaves";
  segment roomy(2);
  EXPECT_TRUE(in_a_child([&] {
    struct rlimit limit {
      std::size_t{8} << 30, std::size_t{8} << 30
    };
    // What the roomy one has is given up with it: the limit is for what is asked now.
    if (::setrlimit(RLIMIT_AS, &limit) != 0) return false;
    ::munmap(roomy.parcels().data(), roomy.parcels().size());
    segment s(2);
    s.parcels().back() = std::byte{1};
    reinterpret_cast<std::byte*>(&s.window_of(1))[results_at + s.results_size() - 1] = std::byte{1};
    return s.results_size() < roomy.results_size() && s.results_size() >= (std::size_t{1} << 26);
  }));
}

TEST(segment, where_files_are_limited_it_is_smaller_and_no_signal_comes) {
  EXPECT_TRUE(in_a_child([] {
    struct rlimit limit {
      std::size_t{1} << 30, std::size_t{1} << 30
    };
    if (::setrlimit(RLIMIT_FSIZE, &limit) != 0) return false;
    segment s(2);
    s.parcels().back() = std::byte{1};
    return s.head().windows_at + 2 * s.head().window_size <= limit.rlim_cur;
  }));
}

TEST(segment, where_there_is_no_room_at_all_it_throws_and_leaves_nothing) {
  EXPECT_TRUE(in_a_child([] {
    struct rlimit limit {
      1 << 20, 1 << 20
    };
    if (::setrlimit(RLIMIT_FSIZE, &limit) != 0) return false;
    try {
      segment s(2);
    } catch (const std::system_error& e) {
      return e.code().value() == EFBIG && mapped_parts().empty() && descriptor() == -1;
    }
    return false;
  }));
  if (sanitized) return;
  EXPECT_TRUE(in_a_child([] {
    struct rlimit limit {
      std::size_t{96} << 20, std::size_t{96} << 20
    };
    if (::setrlimit(RLIMIT_AS, &limit) != 0) return false;
    try {
      segment s(2);
    } catch (const std::system_error& e) {
      return e.code().value() == ENOMEM && mapped_parts().empty() && descriptor() == -1;
    }
    return false;
  }));
}

TEST(segment, without_a_descriptor_it_throws) {
  EXPECT_TRUE(in_a_child([] {
    struct rlimit limit {};
    ::getrlimit(RLIMIT_NOFILE, &limit);
    const struct rlimit none { 0, limit.rlim_max };
    if (::setrlimit(RLIMIT_NOFILE, &none) != 0) return false;
    try {
      segment s(1);
    } catch (const std::system_error& e) {
      ::setrlimit(RLIMIT_NOFILE, &limit);  // UBSan opens a pipe to look at e
      return e.code().value() == EMFILE;
    }
    return false;
  }));
}

}  // namespace
}  // namespace procpool::shm
