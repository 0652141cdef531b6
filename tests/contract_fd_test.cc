// SPDX-License-Identifier: MIT
// The contract of descriptors as arguments: what is open arrives, whatever it is and however deep
// in an argument it lies; nobody keeps it open longer than its item, and nobody's numbers run out
// unseen.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "procpool/procpool.h"
#include "support/board.h"
#include "support/inputs.h"
#include "support/methods.h"
#include "support/tasks.h"

namespace {

using namespace procpool::testing;  // NOLINT(google-build-using-namespace)
using namespace std::chrono_literals;
using procpool::pool;
using procpool::serialization_error;
using file = procpool::fd;

class descriptors : public pool_test {};
PROCPOOL_EVERY_METHOD(descriptors);
/// Where a worker is another process.
class descriptors_far : public pool_test {};
PROCPOOL_PROCESS_METHODS(descriptors_far);

static_assert(procpool::sendable<file> && !std::is_copy_constructible_v<file>);
static_assert(std::is_nothrow_move_constructible_v<file> &&
              std::is_nothrow_move_assignable_v<file>);

// Without descriptors the sanitizer cannot look at memory, and takes good objects for bad.
#if defined(__SANITIZE_ADDRESS__)
constexpr bool can_run_out = false;
#else
constexpr bool can_run_out = true;
#endif

/// A file of the test's own, its offset at the beginning.
file file_with(std::string_view text) {
  file made(::memfd_create("a test's", MFD_CLOEXEC));
  if (!made || ::pwrite(made.get(), text.data(), text.size(), 0) < 0)
    throw std::runtime_error("no file");
  return made;
}
std::string text_in(const file& from) {
  std::string text(100, '\0');
  const ssize_t n = ::pread(from.get(), text.data(), text.size(), 0);
  if (n < 0) throw std::system_error(errno, std::system_category(), "pread");
  text.resize(static_cast<std::size_t>(n));
  return text;
}
std::string read_text(file from) { return text_in(from); }

std::ptrdiff_t count_descriptors() {
  return std::distance(std::filesystem::directory_iterator("/proc/self/fd"), {});
}

/// So many numbers more than are in use.
class few_numbers {
 public:
  explicit few_numbers(rlim_t more) {
    ::getrlimit(RLIMIT_NOFILE, &before_);
    rlimit now = before_;
    now.rlim_cur = static_cast<rlim_t>(count_descriptors()) + more;
    ::setrlimit(RLIMIT_NOFILE, &now);
  }
  few_numbers(const few_numbers&) = delete;
  few_numbers& operator=(const few_numbers&) = delete;
  ~few_numbers() { ::setrlimit(RLIMIT_NOFILE, &before_); }

 private:
  rlimit before_{};
};

// ---- what arrives -------------------------------------------------------------------------------

TEST_P(descriptors, are_read_where_the_task_runs) {
  pool p(with());
  file mine = file_with("what is in it");
  EXPECT_EQ(p.apply(read_text, mine), "what is in it");
  EXPECT_EQ(p.apply([](const file& f) { return text_in(f); }, mine), "what is in it");
  EXPECT_EQ(p.apply(read_text, file_with("of nobody else")), "of nobody else");
  EXPECT_EQ(text_in(mine), "what is in it");
}

TEST_P(descriptors, name_the_same_open_file) {
  pool p(with(1));
  const file mine = file_with("abcdef");
  const auto three = [](file f) {
    std::string text(3, '\0');
    return ::read(f.get(), text.data(), 3) == 3 ? text : "";
  };
  EXPECT_EQ(p.apply(three, mine), "abc");
  EXPECT_EQ(::lseek(mine.get(), 0, SEEK_CUR), 3);
  EXPECT_EQ(p.apply(three, mine), "def");
}

TEST_P(descriptors, may_be_closed_by_the_caller_at_once) {
  board b;
  pool p(with(1));
  // Its only worker, where that is the caller, must not wait for the caller.
  if (GetParam() == procpool::start_method::in_process) b->set(0);
  auto busy = p.apply_async(waits(b), 7);
  file mine = file_with("open still");
  auto result = p.apply_async(read_text, mine);
  mine.reset();
  b->set(0);
  EXPECT_EQ(result.get(), "open still");
  EXPECT_EQ(busy.get(), 7);
}

TEST_P(descriptors, may_be_sockets_and_pipes_several_in_one_item) {
  pool p(with());
  int pair[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
  const file here(pair[0]);
  int pipe[2];
  ASSERT_EQ(::pipe2(pipe, O_CLOEXEC), 0);
  const file from(pipe[0]);
  file to(pipe[1]);
  ASSERT_EQ(::write(here.get(), "?", 1), 1);
  const auto answer = [](file line, int times, file out) {
    char c = 0;
    if (::read(line.get(), &c, 1) != 1 || ::write(line.get(), "!", 1) != 1) return '0';
    for (int i = 0; i < times; ++i)
      if (::write(out.get(), "x", 1) != 1) return '0';
    return c;
  };
  EXPECT_EQ(p.apply(answer, file(pair[1]), 3, to), '?');
  char text[4] = {};
  EXPECT_EQ(::read(here.get(), text, 4), 1);
  EXPECT_EQ(text[0], '!');
  to.reset();
  EXPECT_EQ(::read(from.get(), text, 4), 3);
  // Nobody has it open any more: that is how a pipe ends.
  EXPECT_EQ(::read(from.get(), text, 4), 0);
}

struct job {
  std::string name;
  file input;
  std::vector<file> more;
};

TEST_P(descriptors, may_lie_anywhere_in_an_argument) {
  pool p(with());
  job j{"a", file_with("b"), {}};
  j.more.push_back(file_with("c"));
  j.more.emplace_back();
  j.more.push_back(file_with("d"));
  EXPECT_EQ(p.apply(
                [](const job& all) {
                  std::string text = all.name + text_in(all.input);
                  for (const file& f : all.more) text += f ? text_in(f) : "-";
                  return text;
                },
                j),
            "abc-d");
  EXPECT_EQ(p.apply([](std::optional<file> f) { return f ? text_in(*f) : "none"; },
                    std::optional<file>(file_with("perhaps"))),
            "perhaps");
  EXPECT_EQ(p.apply([](std::optional<file> f) { return f ? text_in(*f) : "none"; },
                    std::optional<file>()),
            "none");
  EXPECT_EQ(p.apply([](std::unique_ptr<file> f) { return text_in(*f); },
                    std::make_unique<file>(file_with("owned"))),
            "owned");
  EXPECT_EQ(p.apply([](std::variant<int, file> v) { return text_in(std::get<file>(v)); },
                    std::variant<int, file>(file_with("one of"))),
            "one of");
  std::map<int, file> numbered;
  numbered.emplace(1, file_with("one"));
  numbered.emplace(2, file_with("two"));
  EXPECT_EQ(
      p.apply([](const std::map<int, file>& m) { return text_in(m.at(1)) + text_in(m.at(2)); },
              numbered),
      "onetwo");
  std::vector<std::tuple<std::array<file, 2>, int>> rows;
  for (int i = 0; i < 3; ++i)
    rows.emplace_back(std::array{file_with("x"), file_with(std::to_string(i))}, i);
  EXPECT_EQ(p.starmap([](const std::array<file, 2>& a,
                         int i) { return text_in(a[0]) + text_in(a[1]) + std::to_string(i); },
                      rows),
            (std::vector<std::string>{"x00", "x11", "x22"}));
}

struct reader_of {
  file from;
  std::string operator()(int i) const { return text_in(from) + std::to_string(i); }
};

TEST_P(descriptors, may_belong_to_a_function_object) {
  pool p(with());
  EXPECT_EQ(p.map({.chunksize = 2}, reader_of{file_with("line ")}, first(5)),
            (std::vector<std::string>{"line 0", "line 1", "line 2", "line 3", "line 4"}));
}

TEST_P(descriptors, that_are_empty_arrive_empty) {
  pool p(with());
  EXPECT_TRUE(p.apply([](file f) { return !f && f.get() == -1; }, file()));
  EXPECT_TRUE(p.apply([](file f) { return !f; }, file(::open("/no/such/file", O_RDONLY))));
}

TEST_P(descriptors, are_the_tasks_own_and_closed_on_exec) {
  pool p(with(1));
  const file mine = file_with("mine");
  EXPECT_TRUE(p.apply(
      [](file f) {
        const int flags = ::fcntl(f.get(), F_GETFD);
        const file another = file::copy_of(f.get());
        const int number = f.get();
        f.reset();
        return flags == FD_CLOEXEC && ::fcntl(number, F_GETFD) == -1 && text_in(another) == "mine";
      },
      mine));
  EXPECT_EQ(text_in(mine), "mine");
}

TEST_P(descriptors, of_a_call_pass_through_a_pool_within_a_pool) {
  pool p(with(1));
  for (const auto method : {procpool::start_method::fork, procpool::start_method::in_process}) {
    const auto hand_on = [method](file f) {
      pool inner({.processes = 1, .start_method = method});
      return inner.apply(read_text, f) + inner.apply(read_text, std::move(f));
    };
    EXPECT_EQ(p.apply(hand_on, file_with("deep")), "deepdeep");
  }
}

// ---- many, and again ----------------------------------------------------------------------------

TEST_P(descriptors, of_many_items_are_each_items_own) {
  pool p(with());
  std::vector<file> files;
  std::vector<std::string> texts;
  for (int i = 0; i < 300; ++i) {
    texts.push_back(std::to_string(i));
    files.push_back(file_with(texts.back()));
  }
  EXPECT_EQ(p.map(read_text, files), texts);
  EXPECT_EQ(p.map({.chunksize = 7}, read_text, files), texts);
  auto running = p.map_async({.chunksize = 100}, read_text, files);
  files.clear();
  EXPECT_EQ(running.get(), texts);
}

TEST_P(descriptors, are_closed_on_both_sides_when_their_items_have_ended) {
  pool p(with(1));
  const auto count = [](const file&) { return count_descriptors(); };
  const auto in_worker = p.apply(count, file_with(""));
  const auto here = count_descriptors();
  for (int i = 0; i < 1000; ++i) ASSERT_EQ(p.apply(count, file_with("")), in_worker) << i;
  EXPECT_EQ(count_descriptors(), here);
  // An item that fails, and one that is not even called.
  EXPECT_THROW(p.apply([](const file&) -> int { throw std::runtime_error("no"); }, file_with("")),
               std::runtime_error);
  auto dropped = p.map_async({.chunksize = 2}, count, [] {
    std::vector<file> all;
    for (int i = 0; i < 20; ++i) all.push_back(file_with(""));
    return all;
  }());
  dropped.cancel();
  dropped.wait();
  EXPECT_TRUE(eventually([&] { return count_descriptors() == here; }));
  EXPECT_EQ(p.apply(count, file_with("")), in_worker);
}

TEST_P(descriptors_far, are_given_again_when_an_item_is_run_again) {
  board b;
  pool p(with(2));
  const auto dies_at_first = [m = b.here()](file f, int i) {
    const auto at = 100 + static_cast<std::size_t>(i);
    m.add(at);
    const std::string text = text_in(f);
    if (i % 5 == 0 && m.at(at) <= 2) ::raise(SIGKILL);
    return text;
  };
  std::vector<file> files;
  std::vector<std::string> texts;
  for (int i = 0; i < 20; ++i) {
    texts.push_back(std::to_string(i));
    files.push_back(file_with(texts.back()));
  }
  auto running = p.map_async({.chunksize = 4, .retries = 2}, dies_at_first, files, first(20));
  files.clear();
  EXPECT_EQ(running.get(), texts);
  EXPECT_EQ(b->at(100), 3);
}

TEST_P(descriptors_far, are_closed_when_an_item_is_stopped) {
  pool p(with(1));
  int pipe[2];
  ASSERT_EQ(::pipe2(pipe, O_CLOEXEC), 0);
  const file from(pipe[0]);
  const auto hangs = [](const file&) { for_ever(); };
  EXPECT_THROW(p.apply({.timeout = 50ms}, hangs, file(pipe[1])), procpool::task_timeout);
  char c = 0;
  EXPECT_EQ(::read(from.get(), &c, 1), 0);
}

TEST_P(descriptors_far, never_take_the_place_of_a_closed_standard_stream) {
  pool p(with(1));
  EXPECT_TRUE(p.apply([] { return ::close(0) == 0 && ::close(1) == 0; }));
  const auto number = [](const file& f) { return f.get(); };
  EXPECT_GT(p.apply(number, file_with("")), 2);
}

// ---- where numbers run out ----------------------------------------------------------------------

TEST_P(descriptors, that_the_system_refuses_are_told_by_the_call) {
  pool p(with());
  p.map(square, first(10));  // every worker has come up
  const auto here = count_descriptors();
  if (can_run_out) {
    std::vector<file> files;
    for (int i = 0; i < 40; ++i) files.push_back(file_with("x"));
    const few_numbers few(20);
    try {
      p.map({.chunksize = 40}, read_text, files);
      FAIL();
    } catch (const std::system_error& e) {
      EXPECT_EQ(e.code().value(), EMFILE);
    }
  }
  EXPECT_EQ(count_descriptors(), here);
  file closed = file_with("");
  ::close(closed.get());
  try {
    p.apply(read_text, closed);
    ADD_FAILURE();
  } catch (const std::system_error& e) {
    EXPECT_EQ(e.code().value(), EBADF);
  }
  static_cast<void>(closed.release());
  EXPECT_THROW(static_cast<void>(file::copy_of(-1)), std::system_error);
  EXPECT_EQ(p.apply(read_text, file_with("goes on")), "goes on");
}

TEST_P(descriptors, of_items_without_number_pass_in_a_bounded_window) {
  procpool::pool_options o = with();
  o.max_pending = 16;
  pool p(o);
  p.map(square, first(10));
  const auto opened = [](int i) { return file_with(std::to_string(i)); };
  const few_numbers few(100);
  int next = 0;
  for (const std::string& text :
       p.imap({.chunksize = 5, .buffersize = 20}, read_text, single_pass(1000, opened)))
    ASSERT_EQ(text, std::to_string(next++));
  EXPECT_EQ(next, 1000);
  const auto all = p.map({.chunksize = 5}, read_text, single_pass(1000, opened));
  for (int i = 0; i < 1000; ++i) ASSERT_EQ(all[static_cast<std::size_t>(i)], std::to_string(i));
}

TEST_P(descriptors_far, that_a_worker_has_no_number_for_fail_their_item) {
  if (!can_run_out) GTEST_SKIP() << "the sanitizer needs descriptors";
  procpool::pool_options o = with(1);
  o.limits.open_files = 40;
  pool p(o);
  std::vector<file> many;
  for (int i = 0; i < 60; ++i) many.push_back(file_with("x"));
  const auto count = [](const std::vector<file>& all) { return all.size(); };
  try {
    p.apply(count, many);
    FAIL();
  } catch (const serialization_error& e) {
    try {
      std::rethrow_if_nested(e);
      FAIL();
    } catch (const std::system_error& cause) {
      EXPECT_EQ(cause.code().value(), EMFILE);
    }
  }
  many.resize(10);
  EXPECT_EQ(p.apply(count, many), 10U);
}

// ---- where there can be none --------------------------------------------------------------------

/// Its own functions send it, and the compiler cannot look into those.
struct hidden {
  file inside;
  template <class Archive>
  void serialize(Archive& archive) {
    archive(inside);
  }
};

TEST_P(descriptors, go_one_way_and_with_a_call) {
  pool p(with(1));
  hidden h{file_with("inside")};
  EXPECT_EQ(p.apply([](const hidden& x) { return text_in(x.inside); }, h), "inside");
  EXPECT_THROW(p.apply([](hidden x) { return x; }, h), serialization_error);
  EXPECT_FALSE(p.apply([](int) { return hidden{}; }, 1).inside);
  EXPECT_THROW(static_cast<void>(p.share(h)), serialization_error);
  EXPECT_THROW(procpool::task([](const hidden&) {}, h), serialization_error);
  const auto bound = [](const hidden&, int i) { return i; };
  EXPECT_THROW(p.map(procpool::bind(bound, hidden{file_with("")}), first(3)), serialization_error);
  EXPECT_EQ(p.apply(square, 4), 16);
}

}  // namespace
