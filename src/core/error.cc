// SPDX-License-Identifier: MIT
// The out-of-line members of procpool/error.h: what a wait status means, put into words.
#include "procpool/error.h"

#include <string.h>  // sigabbrev_np
#include <sys/wait.h>

#include <array>
#include <charconv>
#include <csignal>
#include <string>
#include <utility>

#include "core/asked_by_terminate.h"

namespace procpool {
namespace {

using details = worker_died::details;
using cause_type = worker_died::cause_type;

std::string ending(int status) {
  if (!WIFSIGNALED(status)) return "exited with code " + std::to_string(WEXITSTATUS(status));
  const int number = WTERMSIG(status);
  std::string text = "was killed by signal " + std::to_string(number);
  // Null for a real-time signal, which has no name of its own.
  if (const char* name = sigabbrev_np(number)) text.append(" (SIG").append(name).append(")");
  return text;
}

std::string hexadecimal(std::uintptr_t value) {
  std::array<char, 2 * sizeof value> digits{};
  return {digits.begin(), std::to_chars(digits.begin(), digits.end(), value, 16).ptr};
}

// In one line, whatever the worker wrote.
std::string flat(std::string text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
  for (char& c : text)
    if (static_cast<unsigned char>(c) < ' ') c = ' ';
  return text;
}

std::string reason(const details& known) {
  if (!known.exception.empty()) {
    const auto& [type, text] = known.exception;
    return ": " + flat(type.empty() || text.empty() ? type + text : type + ": " + text);
  }
  if (known.fault_address) return ": fault at address 0x" + hexadecimal(*known.fault_address);
  if (known.cause == cause_type::out_of_memory) return ": out of memory";
  return {};
}

/// In the largest unit that leaves no fraction.
std::string readable(std::chrono::nanoseconds d) {
  using namespace std::chrono;
  const auto in = [d]<class Unit>(Unit /*of*/, const char* name, std::string& text) {
    if (d % Unit(1) != nanoseconds(0)) return false;
    text = std::to_string(d / Unit(1)) + name;
    return true;
  };
  std::string text;
  static_cast<void>(in(seconds(), " s", text) || in(milliseconds(), " ms", text) ||
                    in(microseconds(), " µs", text) || in(nanoseconds(), " ns", text));
  return text;
}

std::shared_ptr<const details> nothing() {
  static const auto none = std::make_shared<const details>();
  return none;
}

// What a status alone tells: who can have sent such a signal.
cause_type cause_of(int status) noexcept {
  if (!WIFSIGNALED(status)) return cause_type::exited;
  switch (const int number = WTERMSIG(status); number) {
    case SIGKILL:
    case SIGTERM:
    case SIGHUP:
    case SIGINT:
    case SIGQUIT:
    case SIGUSR1:
    case SIGUSR2:
      return cause_type::killed;
    default:
      return number >= SIGSYS + 1 ? cause_type::killed : cause_type::signalled;
  }
}

}  // namespace

task_timeout::task_timeout(kind_type kind, std::chrono::nanoseconds limit, std::size_t index,
                           pid_t pid)
    : error("procpool: " +
            (kind == kind_type::timeout
                 ? "item " + std::to_string(index) + " ran past its limit of " + readable(limit)
                 : "the call's deadline of " + readable(limit) + " came before the end of item " +
                       std::to_string(index)) +
            (pid == 0 ? std::string() : " in worker " + std::to_string(pid))),
      kind_(kind),
      limit_(limit),
      index_(index),
      pid_(pid) {}

worker_died::worker_died(pid_t pid, int status, std::size_t index,
                         std::shared_ptr<const details> known)
    : error("procpool: worker " + std::to_string(pid) + " " + ending(status) +
            " while running item " + std::to_string(index) + (known ? reason(*known) : "")),
      pid_(pid),
      status_(status),
      index_(index),
      known_(known ? std::move(known) : nothing()) {}

const char* worker_died::what() const noexcept {
  if (stack().empty() || !detail::asked_by_terminate()) return error::what();
  try {
    if (!last_words_) {
      std::string words = std::string(error::what()) + "\n  crashed at:";
      detail::append_first_frames(words, stack());
      last_words_ = std::make_shared<const std::string>(std::move(words));
    }
    return last_words_->c_str();
  } catch (...) {  // no memory
    return error::what();
  }
}

int worker_died::exit_code() const noexcept {
  return WIFSIGNALED(status_) ? -1 : WEXITSTATUS(status_);
}

int worker_died::signal() const noexcept { return WIFSIGNALED(status_) ? WTERMSIG(status_) : 0; }

worker_died::cause_type worker_died::cause() const noexcept {
  return known_->cause.value_or(cause_of(status_));
}

remote_info::~remote_info() = default;

}  // namespace procpool
