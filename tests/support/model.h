// SPDX-License-Identifier: MIT
// A worker's state as tests want one.
#pragma once

#include <utility>

#include "support/board.h"

namespace procpool::testing {

/// Neither sent nor moved, and tells the board of its end.
struct model {
  model(marks m, int n) : board(std::move(m)), loaded(n) { board.add(0); }
  model(const model&) = delete;
  model& operator=(const model&) = delete;
  ~model() { board.add(1); }
  marks board;
  int loaded;
  int used = 0;
};

}  // namespace procpool::testing
