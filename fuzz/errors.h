// SPDX-License-Identifier: MIT
// Looks at all of an exception that came out of bytes, with its causes.
#pragma once

#include <cstddef>
#include <exception>
#include <string>
#include <utility>

#include "core/failure.h"
#include "core/throw_point.h"
#include "input.h"
#include "procpool/error.h"

namespace procpool::fuzz {

/// `room`: the bytes it was made of.
inline void look_at(std::exception_ptr error, std::size_t room) {
  require(error != nullptr, "there is an exception");
  for (std::size_t depth = 0; error; ++depth) {
    // The outermost, its causes, the note; and decode_value's own around it.
    require(depth < core::deepest_cause + 3, "a chain of causes ends");
    std::exception_ptr cause;
    try {
      std::rethrow_exception(error);
    } catch (const std::exception& e) {
      require(std::string(e.what()).size() <= 4 * room + 400, "a text is made of the bytes");
      if (const auto* info = remote_info::of(e)) {
        require(info->type.size() + info->what.size() <= room, "what is known is in the bytes");
        require(info->stack.size() <= core::most_frames, "a stack has a deepest frame");
      }
      if (const auto* died = dynamic_cast<const worker_died*>(&e)) {
        require(died->signal() == 0 || died->exit_code() == -1, "a signal is no exit");
        require(died->stack().size() * sizeof(detail::place) <= room, "a stack is in the bytes");
      }
      if (const auto* nested = dynamic_cast<const std::nested_exception*>(&e))
        cause = nested->nested_ptr();
    } catch (const std::nested_exception& e) {
      cause = e.nested_ptr();
    } catch (...) {
    }
    error = std::move(cause);
  }
}

}  // namespace procpool::fuzz
