// SPDX-License-Identifier: MIT
// How a worker asks for the descriptors among its task's arguments, both halves of one channel by
// hand: what is asked for once is heard once, what comes late is closed, what no honest worker asks
// for is the end of it.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <future>
#include <optional>
#include <system_error>
#include <thread>

#include "base/fd.h"
#include "base/sys.h"
#include "channel_fixture.h"
#include "process_census.h"

namespace procpool::shm {
namespace {

using procpool::testing::in_a_child;

class wishes : public ::testing::Test {
 protected:
  wishes() {
    int ends[2];
    sys::check(sys::socketpair(ends), "socketpair");
    ours = base::fd(ends[0]);
    theirs = base::fd(ends[1]);
    sys::check(::pipe2(ends, O_CLOEXEC), "pipe2");
    reading = base::fd(ends[0]);
    writing = base::fd(ends[1]);
    parent.prepare(false);
  }
  /// A fresh worker, at a task with so many attachments.
  worker_half& at_a_task(std::uint32_t attached) {
    message m = message_of(1);
    m.attached = attached;
    index = parent.send(m);
    worker.emplace(memory.head(), memory.own(), memory.results_size(), bell.get(), theirs.get());
    EXPECT_TRUE(worker->receive(100));
    return *worker;
  }
  reply_slot& slot() { return memory.own().replies[index % ring_slots]; }
  void ask(std::uint32_t serial, std::uint32_t number) {
    slot().wanted = number;
    slot().word = serial << 16 | lap_of(index);
  }
  /// As poll does.
  std::optional<descriptor_wish> heard() {
    EXPECT_FALSE(parent.read());
    return parent.wish();
  }
  bool rung() {
    std::uint64_t count = 0;
    return ::read(bell.get(), &count, sizeof count) == sizeof count;
  }
  /// The pipe's writing end is nowhere open any more.
  bool pipe_ended() {
    char c = 0;
    return ::fcntl(reading.get(), F_SETFL, O_NONBLOCK) == 0 && ::read(reading.get(), &c, 1) == 0;
  }

  channel_memory memory;
  parent_half parent = memory.parent();
  base::fd bell{::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)};
  base::fd ours, theirs, reading, writing;
  std::uint32_t index = 0;

 private:
  std::optional<worker_half> worker;
};

TEST_F(wishes, are_heard_once_and_answered_with_a_descriptor) {
  worker_half& half = at_a_task(2);
  EXPECT_FALSE(parent.ready());
  auto got = std::async(std::launch::async, [&] { return half.want(1); });
  while (!parent.ready()) std::this_thread::yield();
  const auto w = heard();
  ASSERT_TRUE(w);
  EXPECT_EQ(w->index, index);
  EXPECT_EQ(w->number, 1U);
  EXPECT_FALSE(heard());
  EXPECT_FALSE(parent.ready());
  EXPECT_TRUE(answer_wish(ours.get(), w->serial, writing.get()));
  const auto copy = got.get();
  ASSERT_TRUE(copy);
  EXPECT_TRUE(rung());
  EXPECT_NE(copy->get(), writing.get());
  EXPECT_EQ(::fcntl(copy->get(), F_GETFD), FD_CLOEXEC);
  EXPECT_EQ(::write(copy->get(), "x", 1), 1);
  EXPECT_FALSE(parent.corrupt());
}

TEST_F(wishes, for_what_is_not_there_come_to_nothing) {
  worker_half& half = at_a_task(1);
  EXPECT_FALSE(half.want(1));  // nobody is asked
  EXPECT_FALSE(parent.ready());
  ASSERT_TRUE(answer_wish(ours.get(), 1, -1));
  EXPECT_FALSE(half.want(0));
}

TEST_F(wishes, are_answered_with_the_reason_when_the_parent_cannot_send) {
  worker_half& half = at_a_task(2);
  ASSERT_TRUE(answer_wish(ours.get(), 1, 1 << 20));  // no descriptor of this process
  try {
    half.want(0);
    FAIL();
  } catch (const std::system_error& e) {
    EXPECT_EQ(e.code().value(), EBADF);
  }
}

TEST_F(wishes, late_answers_are_closed) {
  worker_half& half = at_a_task(3);
  ASSERT_TRUE(answer_wish(ours.get(), 7, writing.get()));
  ASSERT_TRUE(answer_wish(ours.get(), 0, writing.get()));
  ASSERT_TRUE(answer_wish(ours.get(), 1, reading.get()));
  const auto got = half.want(0);
  ASSERT_TRUE(got);
  writing.reset();
  EXPECT_TRUE(pipe_ended());
  char c = 0;
  EXPECT_EQ(::read(got->get(), &c, 1), 0);
}

TEST_F(wishes, end_the_worker_when_there_is_no_parent) {
  worker_half& half = at_a_task(1);
  ours.reset();
  EXPECT_FALSE(in_a_child([&] {
    static_cast<void>(half.want(0));
    return true;
  }));
}

TEST_F(wishes, of_a_worker_that_has_gone_are_answered_in_vain) {
  theirs.reset();
  EXPECT_TRUE(answer_wish(ours.get(), 1, writing.get()));
  EXPECT_TRUE(answer_wish(ours.get(), 1, -1));
}

TEST_F(wishes, that_nobody_reads_the_answers_to_are_given_up) {
  int answers = 0;
  while (answer_wish(ours.get(), 1, writing.get())) ASSERT_LT(++answers, 100'000);
  parent.give_up();
  EXPECT_TRUE(parent.corrupt());
  theirs.reset();
  writing.reset();
  EXPECT_TRUE(pipe_ended()) << "what was on its way is closed with the socket";
}

TEST_F(wishes, may_be_given_up_for_the_reply) {
  worker_half& half = at_a_task(1);
  for (const bool seen : {false, true}) {
    ask(1, 0);
    if (seen) {
      EXPECT_FALSE(parent.read());
    }
    slot().progress = 2;
    static_cast<void>(half.answer(false));
    if (seen) {
      EXPECT_FALSE(parent.wish());
    }
    EXPECT_TRUE(parent.read()) << seen;
    EXPECT_FALSE(parent.ready());
    parent.prepare(true);
    at_a_task(1);
  }
}

TEST_F(wishes, may_be_given_up_for_another) {
  at_a_task(2);
  ask(1, 0);
  EXPECT_FALSE(parent.read());
  ask(2, 1);
  const auto w = parent.wish();
  ASSERT_TRUE(w);
  EXPECT_EQ(w->serial, 2U);
  EXPECT_EQ(w->number, 1U);
}

TEST_F(wishes, die_with_the_worker) {
  at_a_task(1);
  slot().progress = 1;
  ask(1, 0);
  EXPECT_FALSE(parent.read());
  const auto left = parent.salvage();
  ASSERT_TRUE(left);
  EXPECT_TRUE(left->started);
  parent.silence();
  parent.prepare(true);
  EXPECT_FALSE(parent.ready());
  EXPECT_FALSE(heard());
}

TEST_F(wishes, where_nothing_is_attached_are_the_end_of_the_worker) {
  worker_half& half = at_a_task(0);
  EXPECT_FALSE(half.want(0));
  ask(1, 0);
  EXPECT_FALSE(heard());
  EXPECT_TRUE(parent.corrupt());
}

TEST_F(wishes, where_nothing_was_sent_are_the_end_of_the_worker) {
  index = parent.end();
  ask(1, 0);
  EXPECT_FALSE(heard());
  EXPECT_TRUE(parent.corrupt());
}

TEST_F(wishes, for_a_task_that_was_taken_back_are_for_nothing) {
  at_a_task(1);
  ask(1, 0);
  ASSERT_EQ(parent.take_back(index, 0), 0U);
  const auto w = heard();
  ASSERT_TRUE(w);
  EXPECT_EQ(w->number, nothing_attached);
  EXPECT_FALSE(parent.corrupt()) << "it may not have seen it yet";
}

TEST_F(wishes, are_not_without_end) {
  at_a_task(3);
  for (std::uint32_t serial = 1; serial <= 6; ++serial) {
    ask(serial, 99);
    EXPECT_TRUE(heard());
  }
  ask(7, 0);
  EXPECT_FALSE(heard());
  EXPECT_TRUE(parent.corrupt());
}

// It makes the parent look, and is gone then.
TEST_F(wishes, that_come_and_go_are_not_without_end) {
  at_a_task(1);
  for (int i = 0; i < 3; ++i) {
    ask(1, 0);
    EXPECT_FALSE(parent.read());
    slot().word = 0;
    EXPECT_FALSE(parent.wish());
    EXPECT_EQ(parent.corrupt(), i == 2);
  }
}

}  // namespace
}  // namespace procpool::shm
