// SPDX-License-Identifier: MIT
// The zygote, a worker or the owner dies at each named step of the zygote's protocol: whoever is
// left sees it, and when the owner has let go nothing is left.
#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>

#include "base/step.h"
#include "process/zygote_client.h"
#include "process_census.h"

namespace procpool::process {
namespace {

namespace step = base::step;
using procpool::testing::census;
using procpool::testing::eventually;

std::uint64_t hits(const std::string& name) {
  for (const step::count& s : step::list())
    if (s.name == name) return s.hits;
  return 0;
}

// Two workers come and go by themselves, two more are there when the zygote is stopped.
void play(zygote_client& client) {
  for (std::uint32_t k = 0; k < 4; ++k) client.request_launch(k, 0);
  std::map<std::uint32_t, int> lives;  // +1 launched, +2 ended
  const bool done = eventually([&] {
    while (const std::optional<report> r = client.read()) {
      lives[r->worker] += r->kind == report_kind::launched ? 1 : 2;
    }
    if (client.dead()) return true;
    int launched = 0;
    int ended = 0;
    for (const auto& [worker, life] : lives) {
      launched += life & 1;
      ended += life >= 2;
    }
    // Not before all four have come by every step of theirs.
    return launched == 4 && ended >= 2 &&
           (step::fired() || hits("worker: forked, dies with its zygote") == 4);
  });
  EXPECT_TRUE(done) << "neither all reports nor the zygote's death";
  client.request_stop();
  EXPECT_TRUE(client.reap(clock::now() + std::chrono::seconds(10)));
}

void live(std::uint32_t worker, std::uint32_t, gifts) {
  while (worker >= 2) ::pause();
}

TEST(ZygoteKillTest, DeathAtEachStepLeavesNothing) {
  ASSERT_EQ(::prctl(PR_SET_CHILD_SUBREAPER, 1), 0);  // what is orphaned becomes ours, to be counted
  const census before;
  step::enable();
  {
    zygote_client client(live);
    play(client);
  }
  const auto steps = step::list();
  std::set<std::string> names;
  for (const auto& s : steps) names.insert(s.name);
  for (const char* name :
       {"zygote: started", "zygote: ready", "zygote: launch received",
        "zygote: worker forked, not reported", "worker: forked, outlives its zygote",
        "worker: forked, dies with its zygote", "zygote: launch reported",
        "zygote: child reaped, not reported", "zygote: end reported", "zygote: stopping",
        "zygote: children killed"})
    EXPECT_TRUE(names.contains(name)) << name;

  for (const auto& s : steps)
    for (std::uint64_t nth = 1; nth <= s.hits; ++nth) {
      SCOPED_TRACE(s.name + ", time " + std::to_string(nth));
      step::enable();
      step::arm(s.name.c_str(), nth);
      try {
        zygote_client client(live);
        play(client);
      } catch (const std::system_error& e) {
        EXPECT_EQ(e.code().value(), ECHILD) << e.what();
        EXPECT_EQ(s.name, "zygote: started");
      }
      EXPECT_TRUE(step::fired());
      EXPECT_TRUE(eventually(
          [] {
            while (::waitpid(-1, nullptr, WNOHANG) > 0) {
            }
            return procpool::testing::has_no_child();
          },
          std::chrono::seconds(5)));
      EXPECT_TRUE(before.unchanged());
    }
  ASSERT_EQ(::prctl(PR_SET_CHILD_SUBREAPER, 0), 0);
}

}  // namespace
}  // namespace procpool::process
