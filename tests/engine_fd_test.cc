// SPDX-License-Identifier: MIT
// What the engine gives a worker that asks for a descriptor, over workers made by hand: what is
// attached to the task that it holds, as long as it holds it.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <memory>
#include <vector>

#include "base/sys.h"
#include "core/descriptors.h"
#include "engine_fixture.h"
#include "procpool/detail/descriptor.h"

namespace procpool::core {
namespace {

class nothing_to_give final : public detail::attachment {};

/// Items with a copy of the same descriptor each; then something that is none.
struct with_descriptors : detail::source {
  with_descriptors(std::size_t n, const fd& all) : left(n), own(all) {}
  void head(detail::writer&) override {}
  std::size_t encode(detail::writer& out, std::size_t most) override {
    std::size_t n = 0;
    for (; n < most && left != 0; ++n, --left) {
      detail::write_descriptor(out, own);
      out.attach(std::make_shared<nothing_to_give>());
    }
    return n;
  }
  [[nodiscard]] std::size_t expected() const override { return left; }
  std::size_t left;
  const fd& own;
};

class engine_fd : public engine_test {
 protected:
  std::shared_ptr<recorder> submit(std::size_t n, std::size_t chunk) {
    auto call = std::make_shared<recorder>();
    with_descriptors input(n, own);
    detail::call_options options;
    options.chunksize = chunk;
    pool->submit(call, entry, input, options);
    return call;
  }
  /// What it is given for that number.
  int ask(worker_id w, std::uint32_t number) {
    fake->want(w, number, ++serial);
    EXPECT_TRUE(eventually([&] { return fake->given().size() == serial; }));
    const auto last = fake->given().back();
    EXPECT_EQ(last.worker, w);
    EXPECT_EQ(last.serial, serial);
    return last.descriptor;
  }
  bool is_a_copy(int number) const {
    struct stat a {};
    struct stat b {};
    return number != own.get() && ::fstat(number, &a) == 0 && ::fstat(own.get(), &b) == 0 &&
           a.st_ino == b.st_ino;
  }

  fd own{::open("/dev/null", O_RDONLY | O_CLOEXEC)};
  std::uint32_t serial = 0;
};

TEST_F(engine_fd, what_is_attached_to_the_task_is_given) {
  make(1, 1);
  auto call = submit(2, 2);
  ASSERT_EQ(fake->held(0), 1U);
  const int first = ask(0, 0);
  const int second = ask(0, 2);
  EXPECT_TRUE(is_a_copy(first));
  EXPECT_TRUE(is_a_copy(second));
  EXPECT_NE(first, second);
  EXPECT_EQ(ask(0, 1), -1) << "that is no descriptor";
  EXPECT_EQ(ask(0, 4), -1);
  EXPECT_EQ(ask(0, ~0U), -1);
  fake->finish(0);
  EXPECT_TRUE(wait(*call));
  EXPECT_EQ(::fcntl(first, F_GETFD), -1);
  EXPECT_EQ(::fcntl(second, F_GETFD), -1);
}

TEST_F(engine_fd, what_is_run_elsewhere_is_given_there) {
  make(2, 1);
  auto call = submit(3, 3);
  ASSERT_EQ(fake->held(0), 1U);
  EXPECT_TRUE(is_a_copy(ask(0, 0)));
  fake->claim(0, 1);
  fake->die(0, 0);
  fake->up(1);
  ASSERT_TRUE(eventually([&] { return fake->held(1) == 1; }));
  EXPECT_TRUE(is_a_copy(ask(1, 2)));
  work_off(*call, {1});
  EXPECT_EQ(call->all(), (lines{"died at 0 of 9", by_1, by_1}));
}

TEST_F(engine_fd, nothing_is_given_once_the_pool_has_ended) {
  make(1, 1);
  auto call = submit(1, 1);
  ASSERT_EQ(fake->held(0), 1U);
  pool->terminate();
  fake->want(0, 0, 1);
  settle();
  EXPECT_TRUE(fake->given().empty());
  EXPECT_EQ(call->all(), repeated(1, "terminated"));
}

}  // namespace
}  // namespace procpool::core
