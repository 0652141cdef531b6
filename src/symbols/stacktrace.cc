// SPDX-License-Identifier: MIT
#include "procpool/stacktrace.h"

#include <array>
#include <charconv>
#include <mutex>
#include <utility>

#include "symbols/symbols.h"

namespace procpool {
namespace detail {

/// Places, and what was found out about them. Shared by the copies of a stacktrace.
class stack_frames {
 public:
  explicit stack_frames(std::vector<place> from) : places(std::move(from)) {}

  const std::vector<stack_frame>& look_up() const {
    std::call_once(once_, [this] {
      symbols::cache& known = symbols::cache::of_this_process();
      for (const place& p : places) found_.push_back(known.describe(p));
    });
    return found_;
  }

  const std::vector<place> places;

 private:
  mutable std::once_flag once_;
  mutable std::vector<stack_frame> found_;
};

}  // namespace detail

namespace {

bool has(const std::string& text, const char* part) { return text.find(part) != std::string::npos; }

// How many frames are the task's. Below them lies what calls it: at least detail/invoke.h's
// functions, and, in code that was not optimised, what std::invoke is made of. Where a task was
// inlined into that, its line is still the task's.
std::size_t of_the_task(const std::vector<stack_frame>& all) {
  std::size_t count = 0;
  while (count < all.size() && !has(all[count].function, "procpool::detail::invocation<")) ++count;
  if (count == all.size()) return count;
  const std::string& file = all[count].file;
  if (count == 0 || !(file.empty() || has(file, "/procpool/detail/") || has(file, "/c++/")))
    return count + 1;
  const auto calls = [&](const stack_frame& f) {
    return has(f.function, "std::__invoke") || has(f.function, " std::invoke<");
  };
  while (count > 1 && calls(all[count - 1])) --count;
  return count;
}

}  // namespace

std::string stack_frame::to_string() const {
  std::string where = file.empty() ? "" : file + ":" + std::to_string(line);
  if (!function.empty()) return where.empty() ? function : function + " at " + where;
  if (!where.empty()) return where;
  std::array<char, 16> digits{};
  const auto end = std::to_chars(digits.begin(), digits.end(), offset, 16).ptr;
  return (module.empty() ? "0x" : module + "+0x") + std::string(digits.begin(), end);
}

stacktrace::stacktrace(std::vector<detail::place> places)
    : frames_(places.empty() ? nullptr
                             : std::make_shared<detail::stack_frames>(std::move(places))) {}

std::size_t stacktrace::size() const noexcept { return frames_ ? frames_->places.size() : 0; }

const std::vector<stack_frame>& stacktrace::frames() const {
  static const std::vector<stack_frame> none;
  return frames_ ? frames_->look_up() : none;
}

const std::vector<detail::place>& stacktrace::places() const noexcept {
  static const std::vector<detail::place> none;
  return frames_ ? frames_->places : none;
}

std::string stacktrace::to_string() const {
  const std::vector<stack_frame>& all = frames();
  const std::size_t count = of_the_task(all);
  std::string text;
  for (std::size_t k = 0; k < count; ++k)
    text.append("#").append(std::to_string(k)).append(" ").append(all[k].to_string()).append("\n");
  return text;
}

}  // namespace procpool
