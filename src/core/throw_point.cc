// SPDX-License-Identifier: MIT
// This file alone knows throw_probe's type_info, and must not include what declares the class: the
// symbol would be there twice.
#include "core/throw_point.h"

#include <cxxabi.h>
#include <unwind.h>

#include <algorithm>
#include <array>
#include <typeinfo>
#include <utility>

#include "base/entry.h"
#include "core/thrown.h"

// NOLINTNEXTLINE(bugprone-reserved-identifier): the C++ runtime's
extern "C" _Unwind_Reason_Code __gxx_personality_v0(int version, _Unwind_Action actions,
                                                    _Unwind_Exception_Class kind,
                                                    _Unwind_Exception* exception,
                                                    _Unwind_Context* context);

namespace procpool::core {
namespace {

struct frame {
  std::uintptr_t pc;
  std::uintptr_t stack;  // where the frame's callee was entered
};

/// The last throw that got as far as a probe, on this thread.
struct noted {
  const void* object = nullptr;
  std::size_t count = 0;
  std::array<frame, most_frames> frames;
};
thread_local constinit noted last{};

/// Frames of the machinery that throws stand before those of the thrower, and none after.
constexpr int deepest_machinery = 12;

template <class F>
bool starts_at(std::uintptr_t function, F* f) noexcept {
  return function == reinterpret_cast<std::uintptr_t>(f);
}

struct walk {
  noted& to;
  int seen = 0;
  int skip = 0;
};

_Unwind_Reason_Code step(_Unwind_Context* context, void* arg) {
  auto& w = *static_cast<walk*>(arg);
  int before = 0;
  const std::uintptr_t pc = _Unwind_GetIPInfo(context, &before);
  if (pc == 0) return _URC_END_OF_STACK;
  if (w.seen++ < deepest_machinery) {
    const auto function = static_cast<std::uintptr_t>(_Unwind_GetRegionStart(context));
    if (starts_at(function, __gxx_personality_v0)) {
      // It was called by the unwinder, that by the runtime: a sanitizer may stand before either, so
      // that the names are its own.
      w.to.count = 0;
      w.skip = 2;
      return _URC_NO_REASON;
    }
    if (starts_at(function, abi::__cxa_throw) || starts_at(function, abi::__cxa_rethrow) ||
        starts_at(function, std::rethrow_exception)) {
      w.to.count = 0;
      w.skip = 0;
      return _URC_NO_REASON;
    }
    if (w.skip > 0) {
      --w.skip;
      return _URC_NO_REASON;
    }
  }
  if (w.to.count == most_frames) return _URC_END_OF_STACK;
  // A return address belongs to the call before it.
  w.to.frames[w.to.count++] = {before != 0 ? pc : pc - 1, _Unwind_GetCFA(context)};
  return _URC_NO_REASON;
}

}  // namespace

class probe_type final : public std::type_info {
 public:
  probe_type() : std::type_info("N8procpool6detail11throw_probeE") {}

  bool __do_catch(const std::type_info* thrown, void** object, unsigned /*outer*/) const override {
    if (*thrown == typeid(abi::__forced_unwind)) return false;
    last.object = *object;
    last.count = 0;
    walk w{last};
    _Unwind_Backtrace(step, &w);
    return false;
  }
};

}  // namespace procpool::core

extern "C"
    [[gnu::visibility("default")]] const procpool::core::probe_type procpool_throw_probe_type asm(
        "_ZTIN8procpool6detail11throw_probeE");
// Made before all other static objects: one of them may already run tasks.
[[gnu::init_priority(101)]] const procpool::core::probe_type procpool_throw_probe_type;

namespace procpool::core {

std::vector<detail::place> take_throw_point(const std::exception_ptr& error, const void* handler) {
  std::vector<detail::place> places;
  if (!error || last.object == nullptr) return places;
  const thrown it(error);
  // The machinery hands on what a thrown pointer points to.
  const void* object =
      it.type().__is_pointer_p() ? *static_cast<void* const*>(it.object()) : it.object();
  if (object != std::exchange(last.object, nullptr)) return places;

  // The stack grows down: what was entered below the handler's callee is the handler or runs in it.
  std::size_t count = 0;
  while (count < last.count &&
         last.frames[count].stack <= reinterpret_cast<std::uintptr_t>(handler))
    ++count;
  places.reserve(count);
  for (std::size_t k = 0; k < count; ++k) places.push_back({0, last.frames[k].pc});
  base::name_all(places);
  return places;
}

}  // namespace procpool::core
