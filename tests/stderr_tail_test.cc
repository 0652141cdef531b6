// SPDX-License-Identifier: MIT
// What a worker printed to stderr before it died is in its worker_died; and is printed where, when
// and how it would have been.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cwchar>
#include <fstream>
#include <iostream>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "procpool/procpool.h"
#include "support/fork_test.h"
#include "support/methods.h"

namespace procpool {
namespace {

using namespace testing;  // NOLINT: this file is about what stands there

/// A file for descriptor 2 of a task, read when the task is over.
class paper {
 public:
  paper() : path(::testing::TempDir() + "procpool-stderr-" + std::to_string(::getpid())) {
    std::ofstream{path};
  }
  paper(const paper&) = delete;
  paper& operator=(const paper&) = delete;
  ~paper() { ::unlink(path.c_str()); }
  [[nodiscard]] std::string read() const {
    std::stringstream all;
    all << std::ifstream(path).rdbuf();
    return all.str();
  }
  const std::string path;
};

/// In a task: descriptor 2 is that file now.
void write_to(const std::string& path) {
  const int file = ::open(path.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC);
  ::dup2(file, 2);
  ::close(file);
}

struct ending {
  std::string printed;
  std::string tail;
};

class stderr_tail : public pool_test {
 protected:
  /// What is printed, and what is known of it, when a task does `f` and dies.
  template <class F>
  static ending of(F f) {
    pool p(with(1));
    const paper file;
    auto result = p.apply_async(
        [f](const std::string& path) {
          write_to(path);
          f();
          ::_exit(9);
          return 0;
        },
        file.path);
    const auto e = thrown_by<worker_died>([&] { return result.get(ages); });
    return {file.read(), e.stderr_tail()};
  }
};
PROCPOOL_PROCESS_METHODS(stderr_tail);

TEST_P(stderr_tail, has_what_c_and_cxx_print_in_its_order) {
  const auto e = of([] {
    std::fprintf(stderr, "one %d\n", 1);
    std::cerr << "two " << 2 << std::endl;
    std::fputs("three\n", stderr);
    std::clog << "four\n";
    std::fputc('5', stderr);
    std::cerr.put('6');
    errno = ENOENT;
    std::perror(" seven");
  });
  EXPECT_EQ(e.tail, "one 1\ntwo 2\nthree\nfour\n56 seven: No such file or directory\n");
  EXPECT_EQ(e.printed, e.tail);
}

TEST_P(stderr_tail, is_written_at_once) {
  const auto e = of([] {
    const auto there = [] {
      struct ::stat now {};
      ::fstat(2, &now);
      return std::to_string(now.st_size) + ' ';
    };
    std::fprintf(stderr, "no newline");
    const std::string first = there();
    std::cerr << "nor here";
    const std::string second = there();
    std::cerr << first << second;
  });
  EXPECT_EQ(e.printed, "no newlinenor here10 18 ");
}

TEST_P(stderr_tail, is_the_last_whole_lines) {
  const auto e = of([] {
    for (int i = 0; i < 1000; ++i) std::fprintf(stderr, "this is line %d\n", i);
  });
  EXPECT_LE(e.tail.size(), 2048u);
  EXPECT_GT(e.tail.size(), 2000u);
  EXPECT_EQ(e.tail.rfind("this is line ", 0), 0u) << e.tail.substr(0, 40);
  EXPECT_TRUE(e.printed.ends_with(e.tail));
}

TEST_P(stderr_tail, of_one_endless_line_is_its_end) {
  const auto e = of([] { std::cerr << std::string(10'000, 'a') + std::string(2048, 'b'); });
  EXPECT_EQ(e.tail, std::string(2048, 'b'));
  EXPECT_EQ(e.printed.size(), 12'048u);
}

TEST_P(stderr_tail, does_not_see_what_passes_stdio_by) {
  const auto e = of([] { static_cast<void>(!::write(2, "raw\n", 4)); });
  EXPECT_EQ(e.tail, "");
  EXPECT_EQ(e.printed, "raw\n");
}

TEST_P(stderr_tail, leaves_the_stream_what_it_was) {
  const auto e = of([] {
    std::fprintf(stderr, "%d %d %d %d\n", ::fileno(stderr), ::isatty(::fileno(stderr)),
                 std::ferror(stderr), ::fcntl(2, F_GETFD));
  });
  EXPECT_EQ(e.printed, "2 0 0 0\n");
}

TEST_P(stderr_tail, survives_freopen) {
  const paper other;
  pool p(with(1));
  auto result = p.apply_async(
      [](const std::string& path) {
        write_to("/dev/null");
        std::fprintf(stderr, "before\n");
        if (std::freopen(path.c_str(), "w", stderr) == nullptr) return 1;
        std::fprintf(stderr, "after %d\n", ::fileno(stderr));
        std::cerr << "cerr\n";
        std::fflush(stderr);
        ::_exit(9);
        return 0;
      },
      other.path);
  const auto e = thrown_by<worker_died>([&] { return result.get(ages); });
  EXPECT_EQ(e.stderr_tail().rfind("before\n", 0), 0u) << e.stderr_tail();
  EXPECT_NE(other.read().find("after 2\n"), std::string::npos) << other.read();
  EXPECT_NE(other.read().find("cerr\n"), std::string::npos) << other.read();
}

TEST_P(stderr_tail, survives_wide_characters_buffers_and_fclose) {
  EXPECT_EQ(of([] {
              if (std::fwide(stderr, 1) > 0) std::fwprintf(stderr, L"wide %d\n", 7);
              std::fflush(stderr);
            }).printed,
            "wide 7\n");
  EXPECT_EQ(of([] {
              static char room[4096];
              std::setvbuf(stderr, room, _IOFBF, sizeof room);
              std::fprintf(stderr, "kept ");
              static_cast<void>(!::write(2, "first ", 6));
              std::fflush(stderr);
            }).printed,
            "first kept ");
  EXPECT_EQ(of([] {
              std::fprintf(stderr, "last\n");
              const int closed = std::fclose(stderr);
              if (closed != 0 || ::fcntl(2, F_GETFD) != -1) ::_exit(1);
            }).printed,
            "last\n");
}

TEST_P(stderr_tail, of_threads_that_print_at_once_loses_no_output) {
  const auto e = of([] {
    std::vector<std::thread> all;
    for (int t = 0; t < 4; ++t)
      all.emplace_back([] {
        for (int i = 0; i < 500; ++i) std::fprintf(stderr, "0123456789\n");
      });
    for (auto& t : all) t.join();
  });
  EXPECT_EQ(e.printed.size(), 4u * 500 * 11);
  EXPECT_LE(e.tail.size(), 2048u);
}

TEST_P(stderr_tail, of_a_worker_that_lives_is_nobody_s_business) {
  pool p(with(1));
  const paper file;
  EXPECT_EQ(p.apply(
                [](const std::string& path) {
                  write_to(path);
                  std::cerr << "hello\n";
                  return 1;
                },
                file.path),
            1);
  EXPECT_EQ(file.read(), "hello\n");
}

}  // namespace
}  // namespace procpool
