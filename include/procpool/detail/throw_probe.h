// SPDX-License-Identifier: MIT
// How a worker learns where an exception was thrown, without a cost while none is.
//
// Unwinding first searches: each handler on the way is asked, through its type's type_info, whether
// it takes what was thrown, and the frames of the throw still stand. The task runner's first
// handler is for a type whose type_info is ours (core/throw_point.cc): asked, it notes the frames
// and says no. What a task catches itself never gets so far. Used by invoke.h.
#pragma once

namespace procpool::detail {

/// Never thrown, never made. Its first virtual function is defined nowhere, so that no compiler
/// makes a type_info for it: the library's is the only one.
class [[gnu::visibility("default")]] throw_probe {
 public:
  throw_probe() = delete;
  virtual ~throw_probe();
};

}  // namespace procpool::detail
