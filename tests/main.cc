// SPDX-License-Identifier: MIT
// Every test program's main: a worker that a test's pool executes is a worker before it is a test;
// and each test, whatever its fixture, leaves the process as it found it.
#include <gtest/gtest.h>

#include <optional>

#include "procpool/init.h"
#include "support/census.h"

namespace {

class census_of_each_test : public ::testing::EmptyTestEventListener {
  void OnTestStart(const ::testing::TestInfo&) override { before_.emplace(); }
  void OnTestEnd(const ::testing::TestInfo&) override { EXPECT_TRUE(before_->unchanged()); }

  std::optional<procpool::testing::full_census> before_;
};

}  // namespace

int main(int argc, char** argv) {
  procpool::init(argc, argv);
  ::testing::InitGoogleTest(&argc, argv);
  ::testing::UnitTest::GetInstance()->listeners().Append(new census_of_each_test);
  return RUN_ALL_TESTS();
}
