// SPDX-License-Identifier: MIT
// A stack of another process, as its parent reads it: of a crash (worker_died::stack), of the place
// where an exception was thrown (remote_info::stack).
//
// What travels is places in modules, a few words a frame. Names and lines are looked up in this
// process, in the files of the modules that this process has loaded itself, the first time somebody
// asks for them; a stack that nobody looks at costs nothing more. Copies share what was looked up.
// From any thread. Functions come from the files' symbol tables, lines from their debug information
// by way of libdw.so.1 (elfutils), which is loaded when the system has it; what was read stays
// until the process ends. A file that was replaced since it was loaded gives neither. Where
// functions were inlined, the function is the one they were inlined into, the line the innermost
// one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <iosfwd>
#include <memory>
#include <string>
#include <vector>

namespace procpool {

/// One frame, as far as it is known: without debug information there is no file, in a stripped
/// module no function.
struct stack_frame {
  std::string function;      ///< demangled; empty: not known
  std::string file;          ///< of the source; empty: not known
  int line = 0;              ///< 0: not known
  std::string module;        ///< path of the program or library; "?": of one that this process has
                             ///< not loaded; empty: of none
  std::uint64_t offset = 0;  ///< in the module, as its file counts; of none: the address itself

  /// "function at file:line"; as far as that is known, else "module+0xoffset", else "0xaddress".
  [[nodiscard]] std::string to_string() const;
};

namespace detail {

/// A place as another process named it: see base::token. Module 0: none, offset is the address. Of
/// the frames that called another one it is in the call, that is, the return address less one; of
/// the innermost frame of a fault, the instruction.
struct place {
  std::uint64_t module;
  std::uint64_t offset;
};
class stack_frames;

}  // namespace detail

/// Frames, innermost first.
class stacktrace {
 public:
  stacktrace() = default;
  explicit stacktrace(std::vector<detail::place> places);

  [[nodiscard]] bool empty() const noexcept { return size() == 0; }
  [[nodiscard]] std::size_t size() const noexcept;
  /// Looks names up: some 100 ms for the first of a program with debug information.
  [[nodiscard]] const std::vector<stack_frame>& frames() const;
  [[nodiscard]] const stack_frame& operator[](std::size_t i) const { return frames()[i]; }
  [[nodiscard]] auto begin() const { return frames().begin(); }
  [[nodiscard]] auto end() const { return frames().end(); }

  /// A line for each frame of the task: "#0 function at file:line". Without what called the task,
  /// which frames() has.
  [[nodiscard]] std::string to_string() const;
  operator std::string() const { return to_string(); }  // NOLINT: a stack is mostly printed
  template <class Char, class Traits>
  friend std::basic_ostream<Char, Traits>& operator<<(std::basic_ostream<Char, Traits>& out,
                                                      const stacktrace& s) {
    return out << s.to_string().c_str();
  }

  /// As they came: for whoever sends a stack on.
  [[nodiscard]] const std::vector<detail::place>& places() const noexcept;

 private:
  std::shared_ptr<const detail::stack_frames> frames_;  // null: empty
};

}  // namespace procpool
