// SPDX-License-Identifier: MIT
#include "local/bell.h"

#include <sys/eventfd.h>

#include <array>
#include <utility>

#include "base/sys.h"

namespace procpool::local {
namespace {

enum source : std::uint64_t { from_worker, from_control, from_nudge, from_interrupt, from_all };

void watch(int epoll, int fd, std::uint32_t events, source tag) {
  epoll_event e{};
  e.events = events;
  e.data.u64 = tag;
  sys::check(sys::epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e), "epoll_ctl");
}

void ring(int eventfd) noexcept {
  std::uint64_t one = 1;
  sys::write(eventfd, &one, sizeof one);
}

void quiet(int eventfd) noexcept {
  std::uint64_t count = 0;
  sys::read(eventfd, &count, sizeof count);
}

base::fd make_eventfd() {
  return base::fd(sys::check(sys::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "eventfd"));
}

}  // namespace

bell::bell(shm::header& head)
    : word_(head.bell),
      all_(sys::check(sys::epoll_create(), "epoll_create")),
      background_(sys::check(sys::epoll_create(), "epoll_create")),
      nudge_(make_eventfd()),
      interrupt_(make_eventfd()) {
  watch(all_.get(), nudge_.get(), EPOLLIN, from_nudge);
  watch(background_.get(), interrupt_.get(), EPOLLIN, from_interrupt);
  watch(background_.get(), all_.get(), EPOLLIN, from_all);
  arm();
}

// It wakes the attending thread when that sleeps, else the other (epoll_ctl(2): EPOLLEXCLUSIVE; the
// kernel asks in the order in which they were added). That one by edges: what has not been read yet
// does not keep it awake.
void bell::watch_control(std::span<const int> control) {
  for (int c : control) {
    watch(all_.get(), c, EPOLLIN | EPOLLEXCLUSIVE, from_control);
    watch(background_.get(), c, EPOLLIN | EPOLLEXCLUSIVE | EPOLLET, from_control);
  }
}

// Edges: a worker's eventfd is never read, each write wakes once.
void bell::add(const base::fd& worker) {
  watch(all_.get(), worker.get(), EPOLLIN | EPOLLET, from_worker);
}

void bell::arm() noexcept {
  word_.store((word_.load(std::memory_order_relaxed) + 1) | 1, std::memory_order_relaxed);
  // The next look at the rings comes after; a worker that publishes later sees the odd word.
  std::atomic_thread_fence(std::memory_order_seq_cst);
}

void bell::disarm() noexcept {
  std::uint32_t now = word_.load(std::memory_order_relaxed);
  if (now % 2 != 0) word_.store(now + 1, std::memory_order_relaxed);
}

void bell::attend(bool woken) noexcept {
  attended_ = true;
  disarm();
  if (woken) sleep(all_.get(), clock::time_point::min());
}

clock::duration bell::left_until(clock::time_point deadline) noexcept {
  if (deadline == clock::time_point::max()) return clock::duration::max();
  const auto now = clock::now();
  return deadline > now ? deadline - now : clock::duration::zero();
}

core::woken_by bell::sleep(int epoll, clock::time_point deadline) noexcept {
  const auto left = std::chrono::nanoseconds(left_until(deadline)).count();
  const bool endless = deadline == clock::time_point::max();
  const timespec timeout{left / 1'000'000'000, left % 1'000'000'000};
  std::array<epoll_event, 64> events;
  int n = sys::epoll_wait(epoll, events.data(), static_cast<int>(events.size()),
                          endless ? nullptr : &timeout);
  // There may be more, of any kind.
  if (n == static_cast<int>(events.size())) control_.store(true, std::memory_order_relaxed);
  if (n == 0) return core::woken_by::deadline;
  auto woken = core::woken_by::interrupt;
  for (int i = 0; i < n; ++i) {
    if (events[static_cast<std::size_t>(i)].data.u64 != from_interrupt)
      woken = core::woken_by::news;
    switch (events[static_cast<std::size_t>(i)].data.u64) {
      case from_control:
        control_.store(true, std::memory_order_relaxed);
        break;
      case from_nudge:
        quiet(nudge_.get());
        break;
      case from_interrupt:
        quiet(interrupt_.get());
        break;
      default:
        break;  // to be seen in the rings
    }
  }
  return woken;
}

core::woken_by bell::wait_in_background(clock::time_point deadline) noexcept {
  return sleep(background_.get(), deadline);
}

void bell::stand_by() noexcept {
  if (in_background_.exchange(false)) leave_background();
  // What woke this thread is the attending one's to see; it may be spinning, and not look by
  // itself.
  control_.store(true, std::memory_order_relaxed);
}

void bell::join_background() noexcept {
  epoll_event e{};
  e.events = EPOLLIN;
  e.data.u64 = from_all;
  if (sys::epoll_ctl(background_.get(), EPOLL_CTL_ADD, all_.get(), &e) == 0 || errno == EEXIST)
    return;
  // No memory: the background thread sees to it that this is tried again.
  in_background_ = false;
  interrupt();
}

void bell::leave_background() noexcept {
  sys::epoll_ctl(background_.get(), EPOLL_CTL_DEL, all_.get(), nullptr);
}

void bell::nudge() noexcept { ring(nudge_.get()); }
void bell::interrupt() noexcept { ring(interrupt_.get()); }

void bell::forget(int control) noexcept {
  sys::epoll_ctl(all_.get(), EPOLL_CTL_DEL, control, nullptr);
  sys::epoll_ctl(background_.get(), EPOLL_CTL_DEL, control, nullptr);
}

}  // namespace procpool::local
