// SPDX-License-Identifier: MIT
// Tokens: every place in a module has one, another process of the program finds the place by it,
// and no bytes that come in as a token lead anywhere else.
#include "base/entry.h"

#include <dlfcn.h>
#include <gtest/gtest.h>
#include <link.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "process_census.h"
#include "procpool/detail/code.h"
#include "procpool/error.h"

namespace procpool {
namespace {

using base::token;
using detail::entry_point;
using procpool::testing::in_a_child;

int twice(int x) { return 2 * x; }
void run_nothing(detail::task_run&) {}

// As the library makes them: constants.
constexpr entry_point good{entry_point::magic_value, 4711, run_nothing, "good"};
constexpr entry_point no_magic{entry_point::magic_value + 1, 4711, run_nothing, "no magic"};

class bytes_writer final : public detail::writer {
 public:
  bytes_writer() : writer(storage_, sizeof storage_) {}

 private:
  void grow(std::size_t) override { throw std::bad_alloc(); }
  alignas(16) std::byte storage_[256];
};

const void* address(int (*function)(int)) { return reinterpret_cast<const void*>(function); }

TEST(EntryTest, FindsFunctionsAndConstantsByName) {
  const token t = base::name(address(twice));
  EXPECT_NE(t.module, 0u);
  EXPECT_EQ(base::find(t), address(twice));
  EXPECT_EQ(base::find_code(t), address(twice));
  const token c = base::name(&good);
  EXPECT_EQ(c.module, t.module) << "both are of this program";
  EXPECT_EQ(base::find(c), &good);
}

TEST(EntryTest, NamesOtherModulesToo) {
  const void* place = ::dlsym(RTLD_DEFAULT, "gnu_get_libc_version");
  ASSERT_NE(place, nullptr);
  const token t = base::name(place);
  EXPECT_NE(t.module, base::name(&good).module);
  EXPECT_EQ(base::find_code(t), place);
}

TEST(EntryTest, NamesInAHandlerWhatWasKnownBefore) {
  const token t = base::name(address(twice));
  const auto place = reinterpret_cast<std::uintptr_t>(address(twice));
  EXPECT_EQ(base::name_in_handler(place), t);
  EXPECT_EQ(base::name_in_handler(0x10), (token{0, 0x10}));
  EXPECT_EQ(base::name_in_handler(0), (token{0, 0}));
  EXPECT_EQ(base::name_in_handler(~std::uintptr_t{0}), (token{0, ~std::uint64_t{0}}));
}

TEST(EntryTest, KnowsTheFilesOfModules) {
  EXPECT_EQ(base::path_of(base::name(address(twice)).module), "") << "the program's is its own";
  const void* c_library = ::dlsym(RTLD_DEFAULT, "gnu_get_libc_version");
  EXPECT_NE(base::path_of(base::name(c_library).module).value_or("").find("/libc"),
            std::string::npos);
  EXPECT_EQ(base::path_of(1), std::nullopt);
}

TEST(EntryTest, TokensDoNotDependOnWhereTheModuleIsLoaded) {
  // Executed again, the program lies elsewhere; it answers with its token of the same constant.
  if (const char* out = std::getenv("ENTRY_TEST_TOKEN"); out != nullptr) {
    const token t = base::name(&good);
    std::ofstream file(out, std::ios::binary);
    file.write(reinterpret_cast<const char*>(&t), sizeof t);
    return;
  }
  std::string path = ::testing::TempDir() + "/entry_token_XXXXXX";
  const int file = ::mkstemp(path.data());
  ASSERT_GE(file, 0);
  const pid_t pid = ::fork();
  if (pid == 0) {
    ::setenv("ENTRY_TEST_TOKEN", path.c_str(), 1);
    // This test, whatever the share of this run.
    for (const char* name : {"GTEST_TOTAL_SHARDS", "GTEST_SHARD_INDEX"}) ::unsetenv(name);
    const std::string filter = "--gtest_filter=EntryTest.TokensDoNotDependOn*";
    char* arguments[] = {const_cast<char*>("entry_test"), const_cast<char*>(filter.c_str()),
                         nullptr};
    ::close(STDOUT_FILENO);
    ::execv("/proc/self/exe", arguments);
    ::_exit(127);
  }
  int status = -1;
  ASSERT_EQ(::waitpid(pid, &status, 0), pid);
  EXPECT_EQ(status, 0);
  token theirs{};
  EXPECT_EQ(::read(file, &theirs, sizeof theirs), ssize_t{sizeof theirs});
  ::close(file);
  ::unlink(path.c_str());
  EXPECT_EQ(theirs, base::name(&good));
  EXPECT_EQ(base::find_entry(theirs, 4711), &good);
}

TEST(EntryTest, AddressesOutsideAllModulesHaveNoName) {
  int local = 0;
  EXPECT_THROW(base::name(&local), error);
  EXPECT_THROW(base::name(nullptr), error);
  const std::vector<int> heap(10);
  EXPECT_THROW(base::name(heap.data()), error);
}

TEST(EntryTest, TokensOfNothingFindNothing) {
  const token t = base::name(&good);
  EXPECT_EQ(base::find({0, 0}), nullptr);
  EXPECT_EQ(base::find({t.module + 1, t.offset}), nullptr);
  EXPECT_EQ(base::find({t.module, 1ULL << 40}), nullptr);
  EXPECT_EQ(base::find({t.module, ~0ULL}), nullptr);
}

TEST(EntryTest, DataIsNoCode) {
  EXPECT_EQ(base::find_code(base::name(&good)), nullptr);
  bytes_writer w;
  const token t = base::name(&good);
  w.raw(&t, sizeof t);
  detail::reader r(w.data(), w.size());
  EXPECT_THROW(detail::read_code(r), serialization_error);
}

TEST(EntryTest, EntryPointsAreCheckedBeforeTheyAreBelieved) {
  EXPECT_EQ(base::find_entry(base::name(&good), 4711), &good);
  EXPECT_EQ(base::find_entry(base::name(&good), 4712), nullptr);
  EXPECT_EQ(base::find_entry(base::name(&no_magic), 4711), nullptr);
  token off = base::name(&good);
  ++off.offset;
  EXPECT_EQ(base::find_entry(off, 4711), nullptr);
}

// Where an entry point at the very end of a segment would reach beyond it.
TEST(EntryTest, EntryPointsLieWhollyInsideOneSegment) {
  struct ends {
    std::vector<std::uintptr_t> at;
  } e;
  ::dl_iterate_phdr(
      [](dl_phdr_info* info, std::size_t, void* to) {
        for (int k = 0; k < info->dlpi_phnum; ++k)
          if (const auto& p = info->dlpi_phdr[k]; p.p_type == PT_LOAD)
            static_cast<ends*>(to)->at.push_back(info->dlpi_addr + p.p_vaddr + p.p_memsz);
        return 0;
      },
      &e);
  ASSERT_FALSE(e.at.empty());
  for (const std::uintptr_t end : e.at) {
    const auto* last = reinterpret_cast<const void*>((end - 1) & ~std::uintptr_t{7});
    EXPECT_EQ(base::find_entry(base::name(last), 4711), nullptr);
  }
}

TEST(EntryTest, RandomTokensNeverLeadOutsideAModule) {
  std::mt19937_64 random(1);
  const token t = base::name(&good);
  for (int k = 0; k < 100'000; ++k) {
    const token r{t.module, random() >> (random() % 64)};
    if (base::find(r) != nullptr) {
      EXPECT_NO_THROW(EXPECT_EQ(base::name(base::find(r)), r));
    }
    if (const entry_point* found = base::find_entry(r, 4711); found != nullptr) {
      EXPECT_EQ(found, &good);
    }
  }
}

TEST(EntryTest, CodeTravelsAsAnArgument) {
  bytes_writer w;
  detail::write_code(w, address(twice));
  detail::write_code(w, nullptr);
  EXPECT_EQ(w.size(), 32u);
  detail::reader r(w.data(), w.size());
  EXPECT_EQ(detail::read_code(r), address(twice));
  EXPECT_EQ(detail::read_code(r), nullptr);
  EXPECT_THROW(detail::read_code(r), serialization_error);
}

TEST(EntryTest, CodeOfAModuleNotLoadedSaysSo) {
  const token t{4711, 8};
  bytes_writer w;
  w.raw(&t, sizeof t);
  detail::reader r(w.data(), w.size());
  try {
    detail::read_code(r);
    FAIL();
  } catch (const serialization_error& e) {
    EXPECT_NE(std::string(e.what()).find("has not loaded"), std::string::npos);
  }
}

// A library of glibc's that this program does not use.
constexpr const char* candidates[] = {"libanl.so.1", "libBrokenLocale.so.1", "libthread_db.so.1",
                                      "libnss_hesiod.so.2"};

void* open_fresh_library() {
  for (const char* name : candidates) {
    if (void* there = ::dlopen(name, RTLD_NOW | RTLD_NOLOAD); there != nullptr) {
      ::dlclose(there);
      continue;
    }
    if (void* library = ::dlopen(name, RTLD_NOW); library != nullptr) return library;
  }
  return nullptr;
}

TEST(EntryTest, ModulesLoadedLaterAreFoundAndUnloadedOnesAreNot) {
  const token own = base::name(&good);  // the list is known now, and gets old
  void* library = open_fresh_library();
  if (library == nullptr) GTEST_SKIP() << "no library of glibc that is not loaded yet";
  const link_map* map = nullptr;
  ASSERT_EQ(::dlinfo(library, RTLD_DI_LINKMAP, &map), 0);
  const void* inside = map->l_ld;
  const token t = base::name(inside);
  EXPECT_EQ(base::find(t), inside);
  ASSERT_EQ(::dlclose(library), 0);
  EXPECT_EQ(base::find(t), nullptr);
  EXPECT_THROW(base::name(inside), error);
  EXPECT_EQ(base::find(own), &good);
}

TEST(EntryTest, ManyThreadsWhileModulesComeAndGo) {
  std::atomic<bool> over{false};
  std::vector<std::thread> threads;
  for (int k = 0; k < 3; ++k)
    threads.emplace_back([&] {
      while (!over) EXPECT_EQ(base::find(base::name(&good)), &good);
    });
  for (int k = 0; k < 200; ++k)
    if (void* library = open_fresh_library(); library != nullptr) ::dlclose(library);
  over = true;
  for (auto& t : threads) t.join();
}

TEST(EntryTest, CopyMadeWhileThreadsNameThingsCanFindThem) {
  std::atomic<bool> over{false};
  const token t = base::name(&good);
  std::vector<std::vector<char>> churn(2);
  std::vector<std::thread> threads;
  for (auto& mine : churn)
    threads.emplace_back([&] {
      while (!over) mine = std::vector<char>(1000);
    });
  for (int k = 0; k < 20; ++k)
    EXPECT_TRUE(in_a_child([&] { return base::find_entry(t, 4711) == &good; }));
  over = true;
  for (auto& each : threads) each.join();
}

}  // namespace
}  // namespace procpool
