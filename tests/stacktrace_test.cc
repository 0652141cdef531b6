// SPDX-License-Identifier: MIT
// Places in modules become functions and lines by the modules' files: whatever those have, and
// whatever stands in them.
#include <dlfcn.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <random>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "base/entry.h"
#include "base/fd.h"
#include "procpool/stacktrace.h"
#include "symbols/symbols.h"

namespace procpool {
namespace {

namespace fs = std::filesystem;

/// One of the libraries of tests/modules, loaded.
class loaded {
 public:
  explicit loaded(const std::string& path)
      : library_(::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL), &::dlclose) {
    if (!library_) throw std::runtime_error(::dlerror());
  }
  template <class R>
  [[nodiscard]] R ask(const char* name) const {
    return reinterpret_cast<R (*)()>(::dlsym(library_.get(), name))();
  }
  [[nodiscard]] detail::place place() const {
    const base::token t = base::name(ask<const void*>("stack_sample_place"));
    return {t.module, t.offset};
  }
  [[nodiscard]] int line() const { return ask<int>("stack_sample_line"); }

 private:
  std::unique_ptr<void, int (*)(void*)> library_;
};

stack_frame frame_of(const detail::place& p) { return stacktrace({p}).frames().at(0); }

detail::place place_of(const void* address) {
  const base::token t = base::name(address);
  return {t.module, t.offset};
}

bool have_libdw() { return symbols::load_libdw("libdw.so.1") != nullptr; }

std::string path_of(const char* library) { return fs::absolute(library).string(); }

TEST(stacktrace, with_debug_information_has_function_and_line) {
  if (!have_libdw()) GTEST_SKIP() << "libdw.so.1 is not there";
  const loaded library(path_of("stack_sample_debug.so"));
  const stack_frame f = frame_of(library.place());
  EXPECT_EQ(f.function, "sample::inside()");
  EXPECT_TRUE(f.file.ends_with("modules/stack_sample.cc")) << f.file;
  EXPECT_EQ(f.line, library.line());
  EXPECT_EQ(f.module, path_of("stack_sample_debug.so"));
  EXPECT_EQ(f.to_string(), "sample::inside() at " + f.file + ":" + std::to_string(library.line()));
}

TEST(stacktrace, without_debug_information_has_the_function) {
  const loaded library(path_of("stack_sample_plain.so"));
  const stack_frame f = frame_of(library.place());
  EXPECT_EQ(f.to_string(), "sample::inside()");
  EXPECT_EQ(f.line, 0);
}

TEST(stacktrace, of_a_stripped_library_has_module_and_offset) {
  const loaded library(path_of("stack_sample_stripped.so"));
  const detail::place p = library.place();
  const stack_frame f = frame_of(p);
  EXPECT_EQ(f.function, "");
  EXPECT_EQ(f.offset, p.offset);
  std::ostringstream expected;
  expected << path_of("stack_sample_stripped.so") << "+0x" << std::hex << p.offset;
  EXPECT_EQ(f.to_string(), expected.str());
}

TEST(stacktrace, without_libdw_has_the_function) {
  const loaded library(path_of("stack_sample_debug.so"));
  symbols::cache without("libprocpool-has-no-such-library.so.1");
  const stack_frame f = without.describe(library.place());
  EXPECT_EQ(f.function, "sample::inside()");
  EXPECT_EQ(f.file, "");
}

TEST(stacktrace, of_a_library_whose_file_was_replaced_has_module_and_offset) {
  const fs::path copy = fs::path(::testing::TempDir()) / ("replaced-" + std::to_string(::getpid()));
  fs::copy_file("stack_sample_plain.so", copy, fs::copy_options::overwrite_existing);
  const loaded library(copy.string());
  fs::copy_file("stack_sample_debug.so", copy.string() + ".new");
  fs::rename(copy.string() + ".new", copy);
  symbols::cache fresh;  // the other tests may have read a file with the same content
  const stack_frame f = fresh.describe(library.place());
  EXPECT_EQ(f.function, "");
  EXPECT_EQ(f.module, copy.string());
  fs::remove(copy);
  symbols::cache later;
  EXPECT_EQ(later.describe(library.place()).function, "") << "and when it is gone";
}

TEST(stacktrace, of_no_module_or_an_unknown_one) {
  EXPECT_EQ(frame_of({0, 0xdeadbeef}).to_string(), "0xdeadbeef");
  EXPECT_EQ(frame_of({0, 0}).to_string(), "0x0");
  EXPECT_EQ(frame_of({12345, 0x10}).to_string(), "?+0x10");
  EXPECT_EQ(frame_of({~std::uint64_t{0}, ~std::uint64_t{0}}).to_string(), "?+0xffffffffffffffff");
  const detail::place gone = loaded(path_of("stack_sample_plain.so")).place();
  symbols::cache fresh;
  EXPECT_EQ(fresh.describe(gone).module, path_of("stack_sample_plain.so"))
      << "unloaded, but its file is there";
}

TEST(stacktrace, of_an_offset_that_is_in_no_function) {
  detail::place p = place_of(reinterpret_cast<const void*>(&have_libdw));
  p.offset = ~std::uint64_t{0};
  EXPECT_EQ(frame_of(p).function, "");
  p.offset = 0;
  EXPECT_EQ(frame_of(p).function, "");
}

TEST(stacktrace, of_the_program_itself) {
  const stack_frame f = frame_of(place_of(reinterpret_cast<const void*>(&have_libdw)));
  EXPECT_NE(f.function.find("have_libdw"), std::string::npos);
  EXPECT_EQ(f.module, fs::read_symlink("/proc/self/exe").string());
}

// Stripped, but for what it exports.
TEST(stacktrace, of_the_c_library) {
  const stack_frame f = frame_of(place_of(::dlsym(RTLD_DEFAULT, "qsort_r")));
  EXPECT_NE(f.function.find("qsort_r"), std::string::npos) << f.to_string();
}

TEST(stacktrace, of_the_vdso_which_has_no_file) {
  const auto vdso = ::getauxval(AT_SYSINFO_EHDR);
  if (vdso == 0) GTEST_SKIP() << "there is none";
  EXPECT_EQ(frame_of(place_of(reinterpret_cast<const void*>(vdso))).function, "");
}

TEST(stacktrace, is_text_with_a_line_for_each_frame) {
  const stacktrace none;
  EXPECT_TRUE(none.empty());
  EXPECT_EQ(none.to_string(), "");
  EXPECT_TRUE(none.frames().empty());
  const stacktrace two({{0, 1}, {0, 2}});
  EXPECT_EQ(two.size(), 2u);
  std::ostringstream out;
  out << two;
  EXPECT_EQ(out.str(), "#0 0x1\n#1 0x2\n");
  const std::string text = two;
  EXPECT_EQ(text, out.str());
}

TEST(stacktrace, is_looked_up_by_several_threads_at_once) {
  const loaded library(path_of("stack_sample_debug.so"));
  const stacktrace shared({library.place(), {0, 3}});
  std::vector<std::thread> all;
  for (int i = 0; i < 4; ++i)
    all.emplace_back([&, copy = shared] {
      EXPECT_EQ(copy[0].function, "sample::inside()");
      EXPECT_EQ(stacktrace({library.place()})[0].function, "sample::inside()");
    });
  for (auto& t : all) t.join();
}

// A copy of a process in which another thread was looking something up.
TEST(stacktrace, works_in_a_forked_copy_of_a_busy_process) {
  const loaded library(path_of("stack_sample_debug.so"));
  const detail::place p = library.place();
  // The first look-up of a process loads libdw, and a copy made at just that moment may find the
  // loader's lock held for ever.
  ASSERT_EQ(stacktrace({p}).frames().size(), 1u);
  std::atomic<bool> stop{false};
  std::thread busy([&] {
    while (!stop) EXPECT_EQ(stacktrace({p}).frames().size(), 1u);
  });
  for (int round = 0; round < 20; ++round) {
    const pid_t child = ::fork();
    if (child == 0) {
      ::alarm(20);
      ::_exit(stacktrace({p})[0].function == "sample::inside()" ? 0 : 1);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
  }
  stop = true;
  busy.join();
}

// ---- files that anybody may have written --------------------------------------------------------

std::vector<char> bytes_of(const char* file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

/// Reads it as a file, and asks for names all over it.
bool readable(const std::vector<char>& bytes) {
  const base::fd file(::memfd_create("elf", MFD_CLOEXEC));
  if (!file ||
      ::write(file.get(), bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size()))
    throw std::runtime_error("no file");
  const auto elf = symbols::elf_file::read(file.get());
  if (!elf) return false;
  std::size_t letters = 0;
  for (std::uint64_t at = 0; at < 0x8000; at += 64) letters += elf->function_at(at).size();
  return letters + elf->function_at(~std::uint64_t{0}).size() + 1 != 0;
}

TEST(elf_file, of_any_length_is_read_inside_it) {
  const std::vector<char> whole = bytes_of("stack_sample_plain.so");
  EXPECT_TRUE(readable(whole));
  for (std::size_t size = 0; size < whole.size(); size += size < 200 ? 1 : 997)
    readable({whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size)});
  EXPECT_FALSE(readable({}));
  EXPECT_FALSE(readable(std::vector<char>(4096, 'x')));
}

TEST(elf_file, with_any_bytes_is_read_inside_it) {
  const std::vector<char> whole = bytes_of("stack_sample_plain.so");
  std::mt19937_64 random(3);
  for (int round = 0; round < 2000; ++round) {
    std::vector<char> bent = whole;
    // The tables' numbers more often than the rest: head, segments; the sections at the end.
    for (int k = 0; k < 8; ++k) {
      const std::size_t from = k % 2 == 0 ? 0 : bent.size() - 2000;
      bent[from + random() % (k % 2 == 0 ? 1000 : 2000)] = static_cast<char>(random());
    }
    readable(bent);
  }
}

TEST(elf_file, is_a_regular_file) {
  for (const char* path : {"/dev/zero", "/proc", "."}) {
    const base::fd file(::open(path, O_RDONLY | O_CLOEXEC));
    EXPECT_EQ(symbols::elf_file::read(file.get()), nullptr) << path;
  }
  EXPECT_EQ(symbols::elf_file::read(-1), nullptr);
}

TEST(elf_file, without_a_build_id_is_known_by_its_content) {
  const loaded library(path_of("stack_sample_anonymous.so"));
  EXPECT_EQ(frame_of(library.place()).function, "sample::inside()");
}

}  // namespace
}  // namespace procpool
