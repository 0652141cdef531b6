// SPDX-License-Identifier: MIT
// A pool by each start method, whose system calls can be made to fail.
#pragma once

#include "base/fault.h"
#include "support/methods.h"

namespace procpool::testing {

namespace fault = base::fault;

class fault_test : public pool_test {
 protected:
  // The plan's memory stays. Not before main(), where a worker that is executed anew would disarm
  // it all.
  static void SetUpTestSuite() { fault::reset(); }
  ~fault_test() override { fault::reset(); }
};

}  // namespace procpool::testing
