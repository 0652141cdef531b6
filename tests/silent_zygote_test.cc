// SPDX-License-Identifier: MIT
// A zygote that was copied while a thread held the loader's lock says nothing, and is made anew;
// by then the pool has made what no zygote has any business with.
#include <gtest/gtest.h>
#include <link.h>
#include <pthread.h>

#include <atomic>
#include <thread>

#include "procpool/procpool.h"
#include "support/census.h"

namespace {

/// While armed, the loader's lock is held from the first fork to the second.
struct {
  std::atomic<bool> armed{false};
  std::atomic<int> forks{0};
  std::atomic<bool> held{false};
} loader;

void before_fork() {
  if (!loader.armed) return;
  if (++loader.forks == 1) {
    while (!loader.held) std::this_thread::yield();
  } else {
    while (loader.held) std::this_thread::yield();
  }
}

void hold_the_lock_once() {
  while (loader.forks == 0) std::this_thread::yield();
  ::dl_iterate_phdr(
      [](dl_phdr_info*, std::size_t, void*) {
        loader.held = true;
        while (loader.forks == 1) std::this_thread::yield();
        return 1;
      },
      nullptr);
  loader.held = false;
}

TEST(silent_zygote, leaves_its_successor_no_copies_of_the_pools_descriptors) {
  const auto descriptors = [] { return procpool::testing::open_descriptors().size(); };
  std::size_t usual = 0;
  {
    procpool::pool undisturbed(1);
    usual = undisturbed.apply(descriptors);
  }
  ASSERT_EQ(::pthread_atfork(before_fork, nullptr, nullptr), 0);
  std::thread holder(hold_the_lock_once);
  loader.armed = true;
  procpool::pool p(1);
  loader.armed = false;
  holder.join();
  EXPECT_EQ(loader.forks, 2);
  EXPECT_EQ(p.apply(descriptors), usual);
}

}  // namespace
