// SPDX-License-Identifier: MIT
#include "procpool/detail/rethrown.h"

#include "core/asked_by_terminate.h"

namespace procpool::detail {
namespace {

/// What the far one said, with its type, if that is not said already.
std::string last_words(const remote_info& info) {
  std::string words = info.type;
  if (!info.what.empty()) words.append(": ").append(info.what);
  words.append("\n  thrown in worker ").append(std::to_string(info.pid));
  if (info.stack.empty()) return words;
  words.append(" at:");
  append_first_frames(words, info.stack);
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
