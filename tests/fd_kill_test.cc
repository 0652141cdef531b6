// SPDX-License-Identifier: MIT
// A worker dies at each step of asking for a descriptor: the item that it was decoding says so, or
// is run again and has its file; nothing stays open.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <csignal>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/step.h"
#include "procpool/procpool.h"
#include "support/fork_test.h"
#include "support/methods.h"

namespace procpool {
namespace {

using namespace testing;  // NOLINT: this file is about what stands there
namespace step = base::step;

constexpr int items = 20;

std::string text_in(const fd& from) {
  char text[16] = {};
  return ::pread(from.get(), text, sizeof text, 0) < 0 ? "unreadable" : text;
}
std::string both(const fd& a, const fd& b) { return text_in(a) + text_in(b); }

std::vector<fd> files(const std::string& kind) {
  std::vector<fd> all;
  for (int i = 0; i < items; ++i) {
    const std::string text = kind + std::to_string(i);
    all.emplace_back(::memfd_create("a test's", MFD_CLOEXEC));
    EXPECT_GT(::pwrite(all.back().get(), text.data(), text.size(), 0), 0);
  }
  return all;
}

class fd_kill : public process_test {
 protected:
  static void SetUpTestSuite() { step::enable(); }  // its memory stays
};
PROCPOOL_PROCESS_METHODS(fd_kill);

TEST_P(fd_kill, AtEachStep) {
  const auto here = open_descriptors();
  for (const char* name : {"worker: descriptor chosen, not asked for",
                           "worker: descriptor asked for, parent not woken",
                           "worker: waits for a descriptor", "worker: descriptor received"}) {
    for (const int nth : {1, 2, items + 1}) {
      for (const int retries : {0, 1}) {
        const std::string trying = std::string(name) + ", time " + std::to_string(nth);
        SCOPED_TRACE(trying);
        now_trying(trying);
        step::enable();
        pool p(of(2));
        step::arm(name, static_cast<std::uint64_t>(nth));
        const auto all =
            p.try_map({.chunksize = 4, .retries = retries}, both, files("a"), files("b"));
        EXPECT_TRUE(step::fired());
        int died = 0;
        for (int i = 0; i < items; ++i) {
          const std::string n = std::to_string(i);
          try {
            EXPECT_EQ(all[static_cast<std::size_t>(i)].value(), "a" + n + "b" + n);
          } catch (const worker_died& e) {
            EXPECT_EQ(e.signal(), SIGKILL);
            EXPECT_EQ(e.index(), static_cast<std::size_t>(i));
            ++died;
          }
        }
        EXPECT_EQ(died, retries == 0 ? 1 : 0);
        p.close();
        p.join();
      }
    }
  }
  EXPECT_TRUE(eventually([&] { return open_descriptors() == here; }));
}

}  // namespace
}  // namespace procpool
