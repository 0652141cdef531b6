// SPDX-License-Identifier: MIT
#include "base/sys.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <cstring>
#include <string>
#include <system_error>

#include "base/fault.h"

// Fails the call when a test asked for it. Not in calls that cannot fail with arguments that make
// sense (getpid, pthread_sigmask): a failure that cannot happen proves nothing.
#define PROCPOOL_FAIL(call, failure) \
  if (base::fault::strikes(#call)) return failure

namespace procpool::sys {
namespace {

template <class Call>
auto restart(Call call) noexcept {
  decltype(call()) result;
  do {
    result = call();
  } while (result == -1 && errno == EINTR);
  return result;
}

// Waits that have no end may be started again; others are their caller's.
template <class Call>
int restart_endless(const timespec* timeout, Call call) noexcept {
  return timeout == nullptr ? restart(call) : call();
}

int milliseconds(const timespec* timeout) noexcept {
  if (timeout == nullptr) return -1;
  if (timeout->tv_sec >= INT_MAX / 1000) return INT_MAX;
  return static_cast<int>(timeout->tv_sec * 1000 + (timeout->tv_nsec + 999'999) / 1'000'000);
}

struct room_for_descriptors {
  alignas(cmsghdr) char bytes[CMSG_SPACE(most_along * sizeof(int))];
};

}  // namespace

void raise(const char* what) {
  const int error = errno;
  throw std::system_error(error, std::system_category(), std::string("procpool: ") + what);
}

int memfd_create(const char* name, unsigned flags) noexcept {
  PROCPOOL_FAIL(memfd_create, -1);
  return ::memfd_create(name, flags);
}

int ftruncate(int fd, off_t size) noexcept {
  PROCPOOL_FAIL(ftruncate, -1);
  return restart([&] { return ::ftruncate(fd, size); });
}

off_t seek_data(int fd, off_t from) noexcept {
  PROCPOOL_FAIL(lseek, -1);
  return ::lseek(fd, from, SEEK_DATA);
}

void* mmap(void* address, std::size_t size, int protection, int flags, int fd,
           off_t offset) noexcept {
  PROCPOOL_FAIL(mmap, MAP_FAILED);
  return ::mmap(address, size, protection, flags, fd, offset);
}

int munmap(void* address, std::size_t size) noexcept {
  PROCPOOL_FAIL(munmap, -1);
  return ::munmap(address, size);
}

int madvise(void* address, std::size_t size, int advice) noexcept {
  PROCPOOL_FAIL(madvise, -1);
  return ::madvise(address, size, advice);
}

int mprotect(void* address, std::size_t size, int protection) noexcept {
  PROCPOOL_FAIL(mprotect, -1);
  return ::mprotect(address, size, protection);
}

int open(const char* path, int flags) noexcept { return openat(AT_FDCWD, path, flags); }

int openat(int directory, const char* path, int flags) noexcept {
  PROCPOOL_FAIL(openat, -1);
  return restart([&] { return ::openat(directory, path, flags); });
}

int close(int fd) noexcept {
  const int result = ::close(fd);
  PROCPOOL_FAIL(close, -1);
  return result;
}

int close_range(unsigned first, unsigned last, unsigned flags) noexcept {
  PROCPOOL_FAIL(close_range, -1);
  return ::close_range(first, last, static_cast<int>(flags));
}

int dup_cloexec(int fd, int least) noexcept {
  PROCPOOL_FAIL(dup_cloexec, -1);
  return ::fcntl(fd, F_DUPFD_CLOEXEC, least);
}

int dup2(int fd, int number) noexcept {
  PROCPOOL_FAIL(dup2, -1);
  return restart([&] { return ::dup2(fd, number); });
}

int fcntl(int fd, int command, int argument) noexcept {
  PROCPOOL_FAIL(fcntl, -1);
  return ::fcntl(fd, command, argument);
}

ssize_t read(int fd, void* to, std::size_t size) noexcept {
  PROCPOOL_FAIL(read, -1);
  return restart([&] { return ::read(fd, to, size); });
}

ssize_t write(int fd, const void* from, std::size_t size) noexcept {
  PROCPOOL_FAIL(write, -1);
  return restart([&] { return ::write(fd, from, size); });
}

ssize_t pread(int fd, void* to, std::size_t size, off_t offset) noexcept {
  PROCPOOL_FAIL(pread, -1);
  return restart([&] { return ::pread(fd, to, size, offset); });
}

int fstat(int fd, struct ::stat* to) noexcept {
  PROCPOOL_FAIL(fstat, -1);
  return ::fstat(fd, to);
}

ssize_t readlink(const char* path, char* to, std::size_t size) noexcept {
  PROCPOOL_FAIL(readlink, -1);
  return ::readlink(path, to, size);
}

int eventfd(unsigned value, int flags) noexcept {
  PROCPOOL_FAIL(eventfd, -1);
  return ::eventfd(value, flags);
}

int signalfd(int fd, const sigset_t* mask, int flags) noexcept {
  PROCPOOL_FAIL(signalfd, -1);
  return ::signalfd(fd, mask, flags);
}

int socketpair(int (&ends)[2]) noexcept {
  PROCPOOL_FAIL(socketpair, -1);
  return ::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends);
}

ssize_t send(int fd, const void* from, std::size_t size, int flags,
             std::span<const int> along) noexcept {
  PROCPOOL_FAIL(send, -1);
  if (along.empty()) return restart([&] { return ::send(fd, from, size, flags | MSG_NOSIGNAL); });
  iovec bytes{const_cast<void*>(from), size};
  room_for_descriptors control{};
  msghdr message{};
  message.msg_iov = &bytes;
  message.msg_iovlen = 1;
  message.msg_control = control.bytes;
  message.msg_controllen = CMSG_SPACE(along.size_bytes());
  cmsghdr* head = CMSG_FIRSTHDR(&message);
  head->cmsg_level = SOL_SOCKET;
  head->cmsg_type = SCM_RIGHTS;
  head->cmsg_len = CMSG_LEN(along.size_bytes());
  std::memcpy(CMSG_DATA(head), along.data(), along.size_bytes());
  return restart([&] { return ::sendmsg(fd, &message, flags | MSG_NOSIGNAL); });
}

ssize_t recv(int fd, void* to, std::size_t size, int flags, std::span<int> along) noexcept {
  std::ranges::fill(along, -1);
  PROCPOOL_FAIL(recv, -1);
  if (along.empty()) return restart([&] { return ::recv(fd, to, size, flags); });
  iovec bytes{to, size};
  room_for_descriptors control{};
  msghdr message{};
  message.msg_iov = &bytes;
  message.msg_iovlen = 1;
  const ssize_t got = restart([&] {
    message.msg_control = control.bytes;
    // Not rounded up: the kernel would put one more descriptor there, which nobody would close.
    message.msg_controllen = CMSG_LEN(along.size_bytes());
    return ::recvmsg(fd, &message, flags | MSG_CMSG_CLOEXEC);
  });
  if (got == -1) return got;
  const cmsghdr* head = CMSG_FIRSTHDR(&message);
  if (head != nullptr && head->cmsg_level == SOL_SOCKET && head->cmsg_type == SCM_RIGHTS)
    std::memcpy(along.data(), CMSG_DATA(head),
                std::min(head->cmsg_len - CMSG_LEN(0), along.size_bytes()));
  return got;
}

int epoll_create() noexcept {
  PROCPOOL_FAIL(epoll_create, -1);
  return ::epoll_create1(EPOLL_CLOEXEC);
}

int epoll_ctl(int epoll, int operation, int fd, epoll_event* event) noexcept {
  PROCPOOL_FAIL(epoll_ctl, -1);
  return ::epoll_ctl(epoll, operation, fd, event);
}

int epoll_wait(int epoll, epoll_event* events, int most, const timespec* timeout) noexcept {
  PROCPOOL_FAIL(epoll_wait, -1);
  return restart_endless(timeout, [&] {
    // What the kernel said once it says always; relaxed, as asking it twice harms nobody.
    static std::atomic<bool> precise{true};
    if (timeout != nullptr && precise.load(std::memory_order_relaxed)) {
      const int result = ::epoll_pwait2(epoll, events, most, timeout, nullptr);
      // EPERM: what seccomp filters older than the call answer; the call itself never does.
      if (result != -1 || (errno != ENOSYS && errno != EPERM)) return result;
      precise.store(false, std::memory_order_relaxed);
    }
    return ::epoll_wait(epoll, events, most, milliseconds(timeout));
  });
}

int ppoll(pollfd* fds, nfds_t count, const timespec* timeout) noexcept {
  PROCPOOL_FAIL(ppoll, -1);
  return restart_endless(timeout, [&] { return ::ppoll(fds, count, timeout, nullptr); });
}

pid_t fork() noexcept {
  PROCPOOL_FAIL(fork, -1);
  return ::fork();
}

int spawn(pid_t* pid, const char* path, const posix_spawn_file_actions_t* actions,
          const posix_spawnattr_t* attributes, char* const* argv, char* const* envp) noexcept {
  PROCPOOL_FAIL(spawn, -1);
  const int error = ::posix_spawn(pid, path, actions, attributes, argv, envp);
  if (error == 0) return 0;
  errno = error;
  return -1;
}

int execve(const char* path, char* const* argv, char* const* envp) noexcept {
  PROCPOOL_FAIL(execve, -1);
  return ::execve(path, argv, envp);
}

void _exit(int status) noexcept {
  // By a pointer, which is filled when the program is loaded: a call by name, made once in a
  // process's life, has the name looked up in each forked one anew.
  static void (*const volatile end)(int) = ::_exit;
  for (;;) end(status);
}

pid_t waitpid(pid_t pid, int* status, int options) noexcept {
  PROCPOOL_FAIL(waitpid, -1);
  return restart([&] { return ::waitpid(pid, status, options); });
}

pid_t wait4(pid_t pid, int* status, int options, struct ::rusage* usage) noexcept {
  PROCPOOL_FAIL(wait4, -1);
  return restart([&] { return ::wait4(pid, status, options, usage); });
}

int waitid(idtype_t type, id_t id, siginfo_t* info, int options) noexcept {
  PROCPOOL_FAIL(waitid, -1);
  return restart([&] { return ::waitid(type, id, info, options); });
}

int kill(pid_t pid, int signal) noexcept {
  PROCPOOL_FAIL(kill, -1);
  return ::kill(pid, signal);
}

int setpgid(pid_t pid, pid_t group) noexcept {
  PROCPOOL_FAIL(setpgid, -1);
  return ::setpgid(pid, group);
}

int pidfd_open(pid_t pid) noexcept {
  PROCPOOL_FAIL(pidfd_open, -1);
  // By number: glibc names it since 2.36, which is younger than the kernels we run on.
  return static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));
}

int pidfd_send_signal(int pidfd, int signal) noexcept {
  PROCPOOL_FAIL(pidfd_send_signal, -1);
  return static_cast<int>(::syscall(SYS_pidfd_send_signal, pidfd, signal, nullptr, 0));
}

int prctl(int option, unsigned long argument) noexcept {
  PROCPOOL_FAIL(prctl, -1);
  return ::prctl(option, argument, 0UL, 0UL, 0UL);
}

int prlimit(__rlimit_resource what, const struct ::rlimit* to, struct ::rlimit* before) noexcept {
  PROCPOOL_FAIL(prlimit, -1);
  return ::prlimit(0, what, to, before);
}

pid_t getpid() noexcept { return ::getpid(); }

pid_t getppid() noexcept { return ::getppid(); }

pid_t gettid() noexcept { return ::gettid(); }

int sigaction(int signal, const struct ::sigaction* action, struct ::sigaction* old) noexcept {
  PROCPOOL_FAIL(sigaction, -1);
  return ::sigaction(signal, action, old);
}

int thread_sigmask(int how, const sigset_t* set, sigset_t* old) noexcept {
  const int error = ::pthread_sigmask(how, set, old);
  if (error == 0) return 0;
  errno = error;
  return -1;
}

int sigaltstack(const stack_t* stack, stack_t* old) noexcept {
  PROCPOOL_FAIL(sigaltstack, -1);
  return ::sigaltstack(stack, old);
}

int queue_signal(pid_t thread, int signal, siginfo_t* info) noexcept {
  PROCPOOL_FAIL(queue_signal, -1);
  return static_cast<int>(::syscall(SYS_rt_tgsigqueueinfo, ::getpid(), thread, signal, info));
}

void pause() noexcept { ::pause(); }

void alarm(unsigned seconds) noexcept { ::alarm(seconds); }

int membarrier() noexcept {
  PROCPOOL_FAIL(membarrier, -1);
  return static_cast<int>(::syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL_EXPEDITED, 0, 0));
}

int get_membarriers() noexcept {
  PROCPOOL_FAIL(get_membarriers, -1);
  return static_cast<int>(
      ::syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED, 0, 0));
}

int getcpu() noexcept { return ::sched_getcpu(); }

int sched_yield() noexcept {
  PROCPOOL_FAIL(sched_yield, -1);
  return ::sched_yield();
}

int sched_getaffinity(pid_t pid, std::size_t size, cpu_set_t* set) noexcept {
  PROCPOOL_FAIL(sched_getaffinity, -1);
  return ::sched_getaffinity(pid, size, set);
}

static_assert(sizeof(std::atomic<std::uint32_t>) == sizeof(std::uint32_t) &&
              std::atomic<std::uint32_t>::is_always_lock_free);

int futex_wait(std::atomic<std::uint32_t>* word, std::uint32_t expected,
               const timespec* deadline) noexcept {
  PROCPOOL_FAIL(futex_wait, -1);
  return restart([&] {
    return static_cast<int>(::syscall(SYS_futex, word, FUTEX_WAIT_BITSET, expected, deadline,
                                      nullptr, FUTEX_BITSET_MATCH_ANY));
  });
}

int futex_wake(std::atomic<std::uint32_t>* word, int count) noexcept {
  PROCPOOL_FAIL(futex_wake, -1);
  return static_cast<int>(::syscall(SYS_futex, word, FUTEX_WAKE, count, nullptr, nullptr, 0));
}

}  // namespace procpool::sys
