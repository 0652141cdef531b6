// SPDX-License-Identifier: MIT
// The cold ends of reader (procpool/detail/buffer.h): kept out of line, so that a check in a user's
// translation unit costs a compare and a call that is never made.
#include "procpool/detail/buffer.h"

#include <memory>
#include <string>

namespace procpool::detail {

std::size_t writer::attach(std::shared_ptr<const attachment> /*what*/) {
  throw serialization_error("procpool: only an argument of a call can be given this along");
}

void reader::too_short() {
  throw serialization_error("procpool: the bytes end before the value does");
}

void reader::too_deep() {
  throw serialization_error("procpool: a value is nested more than " + std::to_string(deepest) +
                            " levels deep");
}

}  // namespace procpool::detail
