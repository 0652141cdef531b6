// SPDX-License-Identifier: MIT
// A worker asks for the descriptors among its task's arguments, one at a time: both halves of it.
// The request stands in the window, the answer comes over the worker's socket, which is new with
// each worker. The parent answers no more requests for a task than an honest worker has.
#include <sys/socket.h>

#include <cerrno>
#include <cstdlib>

#include "base/step.h"
#include "base/sys.h"
#include "shm/channel.h"

namespace procpool::shm {

// ---- the parent's half --------------------------------------------------------------------------

void parent_half::expect_wishes(std::uint32_t index, std::uint32_t attached) noexcept {
  wishes_left_[index % ring_slots] = attached;
  if (attached == 0) return;
  last_wishing_ = index;
  listening_.store(true, std::memory_order_relaxed);
}

std::optional<descriptor_wish> parent_half::take_wish() noexcept {
  const descriptor_request& r = window_.wanted;
  descriptor_wish w{r.serial.load(std::memory_order_acquire),
                    r.index.load(std::memory_order_relaxed),
                    r.number.load(std::memory_order_relaxed)};
  heard_.store(w.serial, std::memory_order_relaxed);
  std::uint32_t& left = wishes_left_[w.index % ring_slots];
  if (corrupt_ || w.index - first() >= unanswered() || left == 0) {
    give_up();
    return std::nullopt;
  }
  --left;
  // An honest one may ask for its callable's before it sees that all has been taken back.
  if (kept_[w.index % ring_slots] == 0) w.number = nothing_attached;
  return w;
}

void parent_half::give_up() noexcept {
  corrupt_ = true;
  listening_.store(false, std::memory_order_relaxed);
}

bool answer_wish(int line, std::uint32_t serial, int descriptor) noexcept {
  descriptor_answer a{serial, descriptor == -1 ? ENOENT : 0};
  if (descriptor != -1) {
    if (sys::send(line, &a, sizeof a, MSG_DONTWAIT, {&descriptor, 1}) == sizeof a) return true;
    a.error = errno;
  }
  // A worker that has closed its end waits for nothing: it is dying, or its task closes descriptors
  // that are not its own.
  return sys::send(line, &a, sizeof a, MSG_DONTWAIT) == sizeof a || errno == EPIPE;
}

// ---- the worker's half --------------------------------------------------------------------------

std::optional<base::fd> worker_half::want(std::uint32_t number) {
  if (number >= window_.tasks[at_ % ring_slots].attached) return std::nullopt;
  descriptor_request& r = window_.wanted;
  r.index.store(at_, std::memory_order_relaxed);
  r.number.store(number, std::memory_order_relaxed);
  PROCPOOL_STEP("worker: descriptor chosen, not asked for");
  r.serial.store(++wanted_, std::memory_order_release);
  PROCPOOL_STEP("worker: descriptor asked for, parent not woken");
  std::uint64_t one = 1;
  sys::write(wake_parent_, &one, sizeof one);
  PROCPOOL_STEP("worker: waits for a descriptor");
  for (;;) {
    descriptor_answer a{};
    int along = -1;
    const ssize_t size = sys::recv(line_, &a, sizeof a, 0, {&along, 1});
    base::fd got(along);
    if (size == -1) sys::raise("recvmsg of a descriptor among the arguments");
    if (size == 0) sys::_exit(EXIT_FAILURE);  // there is no parent any more
    // An answer that was waited for in vain: its descriptor is closed here.
    if (size != sizeof a || a.serial != wanted_) continue;
    PROCPOOL_STEP("worker: descriptor received");
    if (a.error == ENOENT) return std::nullopt;
    if (a.error == 0 && got) return got;
    errno = a.error != 0 ? a.error : EMFILE;  // no number was left for it here
    sys::raise("a descriptor among the arguments");
  }
}

}  // namespace procpool::shm
