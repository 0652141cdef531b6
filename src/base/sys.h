// SPDX-License-Identifier: MIT
// Every system call the library makes, each in one place, so that tests can make each one fail
// (fault.h). Anybody below src/ may call it; it owns nothing.
//
// Each returns exactly what the system call does: -1 and errno, MAP_FAILED and errno. EINTR is
// restarted wherever starting again changes nothing: not in close (Linux has released the number
// already, see close(2)) and not in waits with a relative timeout, whose callers know the deadline.
#pragma once

#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/wait.h>

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <ctime>
#include <span>
#include <type_traits>

namespace procpool::sys {

/// Throws std::system_error for errno: "procpool: <what>: <why>".
[[noreturn]] void raise(const char* what);

/// The result of a system call, or the exception for it.
template <class T>
T check(T result, const char* what) {
  if constexpr (std::is_pointer_v<T>) {
    if (result == MAP_FAILED) raise(what);
  } else {
    if (result == -1) raise(what);
  }
  return result;
}

// ---- memory -------------------------------------------------------------------------------------

int memfd_create(const char* name, unsigned flags) noexcept;
int ftruncate(int fd, off_t size) noexcept;
/// Where, from there on, the file next has data; -1 with ENXIO: nowhere.
off_t seek_data(int fd, off_t from) noexcept;
void* mmap(void* address, std::size_t size, int protection, int flags, int fd,
           off_t offset) noexcept;
int munmap(void* address, std::size_t size) noexcept;
int madvise(void* address, std::size_t size, int advice) noexcept;
int mprotect(void* address, std::size_t size, int protection) noexcept;

// ---- descriptors --------------------------------------------------------------------------------

int open(const char* path, int flags) noexcept;
int openat(int directory, const char* path, int flags) noexcept;
/// The descriptor is gone whatever this returns.
int close(int fd) noexcept;
int close_range(unsigned first, unsigned last, unsigned flags) noexcept;
/// A copy numbered `least` or above that is closed by exec: fcntl(F_DUPFD_CLOEXEC).
int dup_cloexec(int fd, int least = 0) noexcept;
int dup2(int fd, int number) noexcept;
/// For the commands that take a number, or nothing.
int fcntl(int fd, int command, int argument = 0) noexcept;
ssize_t read(int fd, void* to, std::size_t size) noexcept;
ssize_t write(int fd, const void* from, std::size_t size) noexcept;
ssize_t pread(int fd, void* to, std::size_t size, off_t offset) noexcept;
int fstat(int fd, struct ::stat* to) noexcept;
ssize_t readlink(const char* path, char* to, std::size_t size) noexcept;
int eventfd(unsigned value, int flags) noexcept;
int signalfd(int fd, const sigset_t* mask, int flags) noexcept;

/// socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC).
int socketpair(int (&ends)[2]) noexcept;
/// Descriptors that can go along with one message.
inline constexpr std::size_t most_along = 2;
/// send with MSG_NOSIGNAL added. `along`: descriptors whose copies go with it (SCM_RIGHTS).
ssize_t send(int fd, const void* from, std::size_t size, int flags,
             std::span<const int> along = {}) noexcept;
/// `along`: where to put the descriptors that came with it, close-on-exec; -1 where none did. What
/// there is no place for is not taken.
ssize_t recv(int fd, void* to, std::size_t size, int flags, std::span<int> along = {}) noexcept;

int epoll_create() noexcept;
int epoll_ctl(int epoll, int operation, int fd, epoll_event* event) noexcept;
/// Null timeout: without end. To the nanosecond where the kernel has epoll_pwait2 (Linux 5.11),
/// else rounded up to the millisecond. A signal ends a wait that has a timeout with EINTR.
int epoll_wait(int epoll, epoll_event* events, int most, const timespec* timeout) noexcept;
/// Null timeout: without end. A signal ends a wait that has a timeout with EINTR.
int ppoll(pollfd* fds, nfds_t count, const timespec* timeout) noexcept;

// ---- processes ----------------------------------------------------------------------------------

/// glibc's fork, not the bare system call: malloc and stdio are usable in the child of a threaded
/// parent, and pthread_atfork handlers run.
pid_t fork() noexcept;
/// posix_spawn; its error number put into errno.
int spawn(pid_t* pid, const char* path, const posix_spawn_file_actions_t* actions,
          const posix_spawnattr_t* attributes, char* const* argv, char* const* envp) noexcept;
int execve(const char* path, char* const* argv, char* const* envp) noexcept;
[[noreturn]] void _exit(int status) noexcept;
pid_t waitpid(pid_t pid, int* status, int options) noexcept;
pid_t wait4(pid_t pid, int* status, int options, struct ::rusage* usage) noexcept;
int waitid(idtype_t type, id_t id, siginfo_t* info, int options) noexcept;
int kill(pid_t pid, int signal) noexcept;
int setpgid(pid_t pid, pid_t group) noexcept;
/// Linux 5.3.
int pidfd_open(pid_t pid) noexcept;
int pidfd_send_signal(int pidfd, int signal) noexcept;
int prctl(int option, unsigned long argument) noexcept;
/// Of this process. Either pointer may be null.
int prlimit(__rlimit_resource what, const struct ::rlimit* to, struct ::rlimit* before) noexcept;
pid_t getpid() noexcept;
pid_t getppid() noexcept;
pid_t gettid() noexcept;

int sigaction(int signal, const struct ::sigaction* action, struct ::sigaction* old) noexcept;
/// The calling thread's mask; pthread_sigmask, with its error number put into errno.
int thread_sigmask(int how, const sigset_t* set, sigset_t* old) noexcept;

int sigaltstack(const stack_t* stack, stack_t* old) noexcept;
/// A signal for one thread of this process, with whatever siginfo: rt_tgsigqueueinfo.
int queue_signal(pid_t thread, int signal, siginfo_t* info) noexcept;
/// Until a signal's handler has run.
void pause() noexcept;
void alarm(unsigned seconds) noexcept;

/// A full fence on every thread of every process that has asked to get_membarriers(): what they
/// stored before it is seen after it. Linux 4.16.
int membarrier() noexcept;
int get_membarriers() noexcept;

/// The CPU this thread runs on, or -1.
int getcpu() noexcept;
/// To the end of the queue for this CPU.
int sched_yield() noexcept;
int sched_getaffinity(pid_t pid, std::size_t size, cpu_set_t* set) noexcept;

// ---- futex, across processes --------------------------------------------------------------------

/// FUTEX_WAIT_BITSET without FUTEX_PRIVATE_FLAG. `deadline`: absolute, CLOCK_MONOTONIC; null: none.
int futex_wait(std::atomic<std::uint32_t>* word, std::uint32_t expected,
               const timespec* deadline) noexcept;
int futex_wake(std::atomic<std::uint32_t>* word, int count) noexcept;

}  // namespace procpool::sys
