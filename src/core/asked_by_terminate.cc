// SPDX-License-Identifier: MIT
#include "core/asked_by_terminate.h"

#include <unwind.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <exception>

// NOLINTNEXTLINE(bugprone-reserved-identifier): the C++ runtime's
extern "C" _Unwind_Reason_Code __gxx_personality_v0(int version, _Unwind_Action actions,
                                                    _Unwind_Exception_Class kind,
                                                    _Unwind_Exception* exception,
                                                    _Unwind_Context* context);

namespace procpool::detail {
namespace {

/// This function, the what() or two that called it, the terminate handler in up to three pieces.
constexpr int frames_to_look_at = 10;

struct walk {
  int left = frames_to_look_at;
  bool found = false;
};

_Unwind_Reason_Code step(_Unwind_Context* context, void* arg) {
  auto& w = *static_cast<walk*>(arg);
  const auto function = static_cast<std::uintptr_t>(_Unwind_GetRegionStart(context));
  // What leaves a noexcept function is ended from within the unwinding, whose personality calls
  // nothing else of anybody's.
  w.found = function == reinterpret_cast<std::uintptr_t>(std::terminate) ||
            function == reinterpret_cast<std::uintptr_t>(__gxx_personality_v0);
  return w.found || --w.left == 0 ? _URC_END_OF_STACK : _URC_NO_REASON;
}

}  // namespace

bool asked_by_terminate() noexcept {
  walk w;
  _Unwind_Backtrace(step, &w);
  return w.found;
}

void append_first_frames(std::string& words, const stacktrace& stack) {
  constexpr std::size_t most = 16;
  const auto& frames = stack.frames();
  for (std::size_t k = 0; k < std::min(frames.size(), most); ++k)
    words.append("\n    #").append(std::to_string(k)).append(" ").append(frames[k].to_string());
}

}  // namespace procpool::detail
