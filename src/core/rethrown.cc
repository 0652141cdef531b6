// SPDX-License-Identifier: MIT
#include "procpool/detail/rethrown.h"

#include <algorithm>

#include "core/asked_by_terminate.h"

namespace procpool::detail {
namespace {

constexpr std::size_t frames_of_last_words = 16;

/// What the far one said, with its type, if that is not said already.
std::string last_words(const remote_info& info) {
  std::string words = info.type;
  if (!info.what.empty()) words.append(": ").append(info.what);
  words.append("\n  thrown in worker ").append(std::to_string(info.pid));
  if (info.stack.empty()) return words;
  words.append(" at:");
  const auto& frames = info.stack.frames();
  for (std::size_t k = 0; k < std::min(frames.size(), frames_of_last_words); ++k)
    words.append("\n    #").append(std::to_string(k)).append(" ").append(frames[k].to_string());
  return words;
}

// Made in no handler.
const std::nested_exception nothing;

}  // namespace

const char* what_of(const remote_info& info, const char* text, std::string& told) noexcept {
  if (!asked_by_terminate()) return text;
  try {
    if (told.empty()) told = last_words(info);
    return told.c_str();
  } catch (...) {
    return text;
  }
}

void forget_cause(std::nested_exception& e) noexcept { e = nothing; }

}  // namespace procpool::detail
