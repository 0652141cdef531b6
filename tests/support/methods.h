// SPDX-License-Identifier: MIT
// The start methods as values of test parameters, and the fixture of everything that makes pools:
//
//   class apply : public pool_test {};
//   PROCPOOL_EVERY_METHOD(apply);          what a caller sees, whatever runs the task
//   PROCPOOL_PROCESS_METHODS(apply_far);   pids, time, what only another process shows
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <string>

#include "procpool/procpool.h"
#include "support/census.h"

namespace procpool::testing {

/// A new start method that makes processes is one line here and one in name_of.
inline constexpr start_method process_methods[] = {start_method::fork, start_method::forkserver,
                                                   start_method::spawn};
inline constexpr start_method every_method[] = {start_method::fork, start_method::forkserver,
                                                start_method::spawn, start_method::in_process};

inline std::string name_of(const ::testing::TestParamInfo<start_method>& info) {
  switch (info.param) {
    case start_method::fork:
      return "fork";
    case start_method::forkserver:
      return "forkserver";
    case start_method::spawn:
      return "spawn";
    case start_method::in_process:
      return "in_process";
  }
  return "unknown";
}

/// Long enough for anything on any machine; only what hangs takes so long.
inline constexpr std::chrono::seconds ages{60};

class pool_test : public ::testing::TestWithParam<start_method> {
 protected:
  /// Options of a pool of this start method.
  [[nodiscard]] static pool_options with(int processes = 2) {
    pool_options o;
    o.processes = processes;
    o.start_method = GetParam();
    return o;
  }
  void TearDown() override { EXPECT_TRUE(census_.unchanged()); }

 private:
  pool_census census_;
};

}  // namespace procpool::testing

#define PROCPOOL_EVERY_METHOD(suite)                                               \
  INSTANTIATE_TEST_SUITE_P(contract, suite,                                        \
                           ::testing::ValuesIn(::procpool::testing::every_method), \
                           ::procpool::testing::name_of)
#define PROCPOOL_PROCESS_METHODS(suite)                                               \
  INSTANTIATE_TEST_SUITE_P(contract, suite,                                           \
                           ::testing::ValuesIn(::procpool::testing::process_methods), \
                           ::procpool::testing::name_of)
