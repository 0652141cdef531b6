// SPDX-License-Identifier: MIT
// What a pool's owner and its zygote say to each other, over a pair of SOCK_SEQPACKET sockets: one
// message a packet, each of exactly one of these two types.
//
// The zygote is a copy of the owner's process, made with the pool, or a fresh execution of its
// program. It has one thread and does nothing but fork workers, signal them, reap them and report.
// So no process with threads is ever forked while the pool runs; and as it is the only one that
// reaps its children, the number it signals cannot have passed to a stranger.
//
//   zygote_client.h   in the owner: asks
//   zygote_server.h   in the zygote: answers
#pragma once

#include <array>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <type_traits>

#include "base/fd.h"

namespace procpool::process {

/// What a worker is given: copies of the descriptors that its launch was asked with.
inline constexpr std::size_t most_given = 2;
using gifts = std::array<base::fd, most_given>;

/// A worker's life, in the worker: when it returns, the process leaves with status 0.
using child_function =
    std::function<void(std::uint32_t worker, std::uint32_t generation, gifts given)>;

/// What is the same in each worker's life and done once for all, in the zygote, before it is ready.
/// May throw std::system_error: then it cannot start.
using preparation = std::function<void()>;

enum class request_kind : std::uint32_t {
  launch = 1,
  kill,
  stop,
  retire,  ///< leave as soon as no child is left
};

struct request {
  request_kind kind;
  std::uint32_t worker;      ///< launch, kill: whose place; the owner's numbering
  std::uint32_t generation;  ///< launch, kill: the how-manieth process in that place
  /// kill: the signal; SIGKILL is for the worker's whole process group. launch: so many descriptors
  /// come along.
  std::int32_t value;
};
static_assert(sizeof(request) == 16 && std::is_trivially_copyable_v<request>);

enum class report_kind : std::uint32_t {
  ready = 1,      ///< the first one, once: value is 0, or the errno that keeps it from working
  launched,       ///< pid
  launch_failed,  ///< value: errno
  ended,          ///< pid; value: its status, as wait(2) has it. Always after its launched
  refused,        ///< instead of ready, with words behind it: why it does not serve
  signalled,      ///< a kill by another signal than SIGKILL has been done
};
/// Bytes of words behind a refused.
inline constexpr std::size_t most_words = 2048;

struct report {
  report_kind kind;
  std::uint32_t worker;
  std::uint32_t generation;
  std::int32_t pid;
  std::int32_t value;
  std::uint32_t reserved = 0;
  // ended: what it has used, in microseconds and bytes
  std::int64_t user_time = 0;
  std::int64_t system_time = 0;
  std::int64_t max_rss = 0;
};
static_assert(sizeof(report) == 48 && std::is_trivially_copyable_v<report>);

/// Whether what came in as one packet is such a message.
inline bool makes_sense(const request& r) noexcept {
  return r.kind >= request_kind::launch && r.kind <= request_kind::retire &&
         (r.kind != request_kind::kill || (r.value > 0 && r.value < NSIG)) &&
         (r.kind != request_kind::launch ||
          (r.value >= 0 && r.value <= static_cast<std::int32_t>(most_given)));
}
inline bool makes_sense(const report& r) noexcept {
  return r.kind >= report_kind::ready && r.kind <= report_kind::signalled;
}

}  // namespace procpool::process
