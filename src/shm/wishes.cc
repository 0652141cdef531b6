// SPDX-License-Identifier: MIT
// A worker wishes for the descriptors among its task's arguments, one at a time: both halves of it.
// The wish stands where the task's reply will, so the parent sees it where it looks anyway; the
// answer comes over the worker's socket.
#include <sys/socket.h>

#include <cerrno>
#include <cstdlib>

#include "base/step.h"
#include "base/sys.h"
#include "shm/channel.h"

namespace procpool::shm {

// ---- the parent's half --------------------------------------------------------------------------

// The word may have changed since read() saw it, or change now: a worker whose wait has failed goes
// on without, to another wish or the reply. That is once for each wish of an honest one.
std::optional<descriptor_wish> parent_half::take_wish() noexcept {
  wishes_ = false;
  const std::uint32_t index = first();
  const std::uint32_t i = index % ring_slots;
  if (corrupt_ || unanswered() == 0 || wishes_left_[i] == 0) {
    give_up();
    return std::nullopt;
  }
  --wishes_left_[i];
  reply_slot& r = window_.replies[i];
  std::uint32_t word = r.word.load(std::memory_order_acquire);
  const std::uint32_t number = r.wanted.load(std::memory_order_relaxed);
  if (word == lap_of(index) || static_cast<std::uint16_t>(word) != lap_of(index) ||
      !r.word.compare_exchange_strong(word, 0, std::memory_order_acq_rel))
    return std::nullopt;
  // An honest worker may ask for its callable's before it sees that all has been taken back.
  return descriptor_wish{word >> 16, index, kept_[i] == 0 ? nothing_attached : number};
}

void parent_half::give_up() noexcept { corrupt_ = true; }

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
  reply_slot& r = window_.replies[at_ % ring_slots];
  r.wanted.store(number, std::memory_order_relaxed);
  PROCPOOL_STEP("worker: descriptor chosen, not asked for");
  wished_ = wished_ % 0xffff + 1;
  r.word.store(wished_ << 16 | lap_of(at_), std::memory_order_release);
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
    if (size != sizeof a || a.serial != wished_) continue;
    PROCPOOL_STEP("worker: descriptor received");
    if (a.error == ENOENT) return std::nullopt;
    if (a.error == 0 && got) return got;
    errno = a.error != 0 ? a.error : EMFILE;  // no number was left for it here
    sys::raise("a descriptor among the arguments");
  }
}

}  // namespace procpool::shm
