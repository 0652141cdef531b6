// SPDX-License-Identifier: MIT
// What a worker leaves of its crash, as bytes in its window: written step by step, each published
// after it is whole, by a process that may die at any moment; read by the parent when it is dead.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/entry.h"

namespace procpool::shm {

/// Zero: nothing happened.
struct crash {
  std::atomic<std::uint32_t> signal;  // published after the next three
  std::int32_t code;                  // siginfo_t's
  std::int32_t sender;                // its si_pid, when a process sent the signal
  std::atomic<std::uint32_t> frames;  // that are whole
  std::uint64_t address;              // its si_addr, when the processor raised the signal
  std::atomic<std::uint32_t> type_size;
  std::atomic<std::uint32_t> text_size;
  base::token stack[64];  // innermost first; module 0: an address in none that was known
  char type[256];         // of the exception that std::terminate was called for
  char text[1024];        // its what()
};

/// The last that was written to stderr: byte n of all stands at n % size.
struct stderr_ring {
  std::atomic<std::uint64_t> end;  // how many there were
  char bytes[2048];
};

/// A crash, read: copied, and every size held against what there is room for.
struct crash_report {
  int signal = 0;  ///< 0: no handler of ours ran
  int code = 0;
  int sender = 0;
  std::uint64_t address = 0;
  std::vector<base::token> stack;
  std::string type;
  std::string text;
};

/// Before a worker is started that may write there.
void clear(crash& c, stderr_ring& r) noexcept;
crash_report read(const crash& c);
/// Whole lines, when it is longer than the ring; without the bytes that are no text's (NUL).
std::string read(const stderr_ring& r);

/// In the worker: appends, from one thread at a time.
void append(stderr_ring& to, const char* from, std::size_t size) noexcept;

}  // namespace procpool::shm
