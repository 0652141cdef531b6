// SPDX-License-Identifier: MIT
// What the library opens is owned by the type that its users pass descriptors by.
#pragma once

#include "base/sys.h"
#include "procpool/fd.h"

namespace procpool::base {

using procpool::fd;

/// fd::copy_of numbers from here on: a program whose standard output is closed must not print to a
/// file that it was given.
inline constexpr int above_stdio = 3;

}  // namespace procpool::base
