// SPDX-License-Identifier: MIT
// The owner's side of the zygote: makes it, asks it, hears from it, ends it. Owned by the local
// backend; used by one thread at a time. Nothing here blocks but the constructor and reap().
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>

#include "base/fd.h"
#include "process/process.h"
#include "process/zygote.h"

namespace procpool::process {

class zygote_client {
 public:
  /// Forks the zygote, whose workers run `child`. Throws std::system_error, nothing left behind,
  /// when it cannot be made or cannot start. `meanwhile` is called here while it starts, once: a
  /// zygote that has to be forked again has copies of what that made.
  explicit zygote_client(
      const child_function& child, const preparation& prepare = [] {},
      const std::function<void()>& meanwhile = [] {});
  /// Executes the program again as the zygote (see program.h). There, descriptor first_descriptor
  /// is its socket, the next one a pidfd of this process, and then come copies of `descriptors`.
  /// Throws pool_broken, too: with the words by which it refuses to serve.
  explicit zygote_client(
      std::span<const int> descriptors, const std::function<void()>& meanwhile = [] {});
  zygote_client(const zygote_client&) = delete;
  zygote_client& operator=(const zygote_client&) = delete;
  /// Ends it with all its workers; in a copy of the process that made it, only closes descriptors.
  ~zygote_client();

  /// False: the zygote has not kept up (or is dead()) and nothing was asked; ask again later.
  /// `given`: descriptors for the worker.
  bool request_launch(std::uint32_t worker, std::uint32_t generation,
                      std::span<const int> given = {}) noexcept;
  /// Ignored by the zygote when that process has ended. SIGKILL ends its process group.
  bool request_kill(std::uint32_t worker, std::uint32_t generation, int signal) noexcept;
  /// It kills its workers, reports what became of them as far as the socket has room, and leaves.
  bool request_stop() noexcept;
  /// It leaves when its last worker has ended and it has reported that. Nothing is launched any
  /// more.
  bool request_retire() noexcept;

  /// The next report, when there is one. What a zygote reported before its death can still be read.
  std::optional<report> read() noexcept;
  /// The zygote has ended, or has said something a zygote does not say: read() what is left, then
  /// let it go. Its workers are dead or dying: the kernel kills each when the zygote ends.
  [[nodiscard]] bool dead() const noexcept;
  /// The latter, without asking the system; it shows in read().
  [[nodiscard]] bool garbled() const noexcept { return garbled_; }

  /// Readable: there is something to read(). The zygote's death shows at pidfd(), always; here, not
  /// while another process holds a copy of its end.
  [[nodiscard]] int socket() const noexcept { return socket_.get(); }
  [[nodiscard]] int pidfd() const noexcept { return zygote_.pidfd(); }
  [[nodiscard]] pid_t pid() const noexcept { return zygote_.pid(); }

  void kill_now() noexcept;
  /// Waits for the zygote's end and reaps it. False: it still ran at the deadline.
  bool reap(clock::time_point deadline) noexcept;
  /// Closes the descriptors, and has nothing more to do with the zygote.
  void forget() noexcept;

 private:
  zygote_client() noexcept;
  struct ends {
    base::fd ours;    // of the socket
    base::fd theirs;  // the zygote's
    base::fd owner;   // a pidfd of this process, for the zygote
  };
  /// `make`: makes its process, returns its pid.
  void start(const std::function<pid_t(ends&)>& make);
  bool await_ready(clock::time_point deadline);
  bool send(const request& r, std::span<const int> along = {}) noexcept;

  pid_t owner_;
  base::fd socket_;
  handle zygote_;
  std::string words_;     // of a refused
  bool garbled_ = false;  // it said what it never says, or has closed its end
};

}  // namespace procpool::process
