// SPDX-License-Identifier: MIT
// Every system call that making a zygote makes, in the owner and in the zygote, fails once: the
// constructor throws what the call said, or succeeds without it; nothing is left behind either way.
#include <gtest/gtest.h>

#include <cerrno>
#include <set>
#include <string>
#include <system_error>

#include "base/fault.h"
#include "process/zygote_client.h"
#include "process_census.h"

namespace procpool::process {
namespace {

namespace fault = base::fault;
using procpool::testing::census;
using procpool::testing::eventually;

const child_function nothing = [](std::uint32_t, std::uint32_t, gifts) {};

report next(zygote_client& client) {
  std::optional<report> r;
  if (!eventually([&] { return (r = client.read()).has_value(); }))
    throw std::runtime_error("no report came");
  return *r;
}

// Without these there is no zygote; without its name, or a handler put away, there is.
const std::set<std::string> needed{"socketpair", "pidfd_open", "fork", "signalfd"};

TEST(ZygoteFaultTest, ConstructorThrowsWhateverFailsAndLeavesNothing) {
  fault::reset();
  const census before;
  { zygote_client client(nothing); }
  ASSERT_TRUE(before.unchanged());
  std::set<std::string> refused;
  int strikes = 0;
  for (const fault::count& call : fault::counts()) {
    // A parent that cannot wait cannot leave no zombie, whatever it does.
    if (call.name == "waitid" || call.name == "waitpid" || call.name == "wait4") continue;
    for (std::uint64_t nth = 1; nth <= call.calls; ++nth) {
      SCOPED_TRACE(call.name + ", call " + std::to_string(nth));
      fault::reset();
      fault::arm(call.name.c_str(), nth, ENOTNAM);  // no call gives that by itself
      try {
        zygote_client client(nothing);
        // It lives without what failed: then it works, or says that it does not.
        ASSERT_TRUE(client.request_launch(1, 2) || client.dead() || fault::fired());
        if (call.name != "send" && call.name != "recv" && call.name != "fork") {
          EXPECT_EQ(next(client).kind, report_kind::launched);
        }
      } catch (const std::system_error& e) {
        EXPECT_TRUE(fault::fired());
        // The zygote cannot report that its report failed.
        if (call.name != "send" && call.name != "recv") {
          EXPECT_EQ(e.code().value(), ENOTNAM);
        }
        EXPECT_EQ(std::string(e.what()).find("procpool: "), 0u);
        refused.insert(call.name);
      }
      strikes += fault::fired();
      fault::arm("nothing", 1, 0);
      EXPECT_TRUE(before.unchanged());
    }
  }
  EXPECT_GT(strikes, 20);
  for (const std::string& name : needed) EXPECT_TRUE(refused.contains(name)) << name;
}

TEST(ZygoteFaultTest, EverySecondCallOfWhatIsNeededTwiceThrowsToo) {
  const census before;
  fault::reset();
  fault::arm("pidfd_open", 2, EMFILE);
  EXPECT_THROW(zygote_client{nothing}, std::system_error);
  EXPECT_TRUE(fault::fired());
  EXPECT_TRUE(before.unchanged());
}

TEST(ZygoteFaultTest, ForkThatFailsInTheZygoteIsReportedAndTriedAgainOnRequest) {
  const census before;
  {
    fault::reset();
    zygote_client client(nothing);
    fault::arm("fork", 1, EAGAIN);
    ASSERT_TRUE(client.request_launch(4, 2));
    const report r = next(client);
    EXPECT_EQ(r.kind, report_kind::launch_failed);
    EXPECT_EQ(r.value, EAGAIN);
    EXPECT_EQ(r.worker, 4u);
    EXPECT_EQ(r.generation, 2u);
    ASSERT_TRUE(client.request_launch(4, 3));
    EXPECT_EQ(next(client).kind, report_kind::launched);
    EXPECT_EQ(next(client).kind, report_kind::ended);
  }
  EXPECT_TRUE(before.unchanged());
}

TEST(ZygoteFaultTest, WorkerThatCouldOutliveItsZygoteDoesNotRun) {
  const census before;
  {
    fault::reset();
    zygote_client client([](auto, auto, auto) { ::_exit(77); });
    fault::arm("prctl", 1, EPERM);
    ASSERT_TRUE(client.request_launch(0, 0));
    EXPECT_EQ(next(client).kind, report_kind::launched);
    EXPECT_EQ(next(client).value, EXIT_FAILURE << 8);
  }
  EXPECT_TRUE(before.unchanged());
}

TEST(ZygoteFaultTest, KillFindsAnotherWayWhenThePidfdTakesNoSignal) {
  const census before;
  {
    fault::reset();
    zygote_client client(nothing);
    fault::arm("pidfd_send_signal", 1, EPERM);
    client.kill_now();
    EXPECT_TRUE(client.reap(clock::now() + std::chrono::seconds(10)));
    EXPECT_TRUE(fault::fired());
  }
  EXPECT_TRUE(before.unchanged());
}

}  // namespace
}  // namespace procpool::process
