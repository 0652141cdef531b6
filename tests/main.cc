// SPDX-License-Identifier: MIT
// Every test program's main: a worker that a test's pool executes is a worker before it is a test.
#include <gtest/gtest.h>

#include "procpool/init.h"

int main(int argc, char** argv) {
  procpool::init(argc, argv);
  ::testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
