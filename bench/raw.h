// SPDX-License-Identifier: MIT
// The same work by hand: two processes, a page they share, a futex. No more than it takes, and none
// of procpool's code: it is the limit that procpool is measured against.
#pragma once

#include <benchmark/benchmark.h>
#include <linux/futex.h>
#include <malloc.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <new>
#include <string>
#include <utility>
#include <vector>

namespace bench {

using clock = std::chrono::steady_clock;

/// Before forks are timed: they copy what this process has touched, and the heap may hold what
/// other benchmarks have freed.
inline void tidy_heap() { malloc_trim(0); }

/// A T in memory that forked processes share.
template <class T>
class shared {
 public:
  explicit shared(std::size_t extra = 0) : size_(sizeof(T) + extra) {
    void* at = mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED) throw std::bad_alloc();
    value_ = new (at) T();
  }
  shared(const shared&) = delete;
  shared& operator=(const shared&) = delete;
  ~shared() { munmap(value_, size_); }
  T* operator->() { return value_; }
  T& operator*() { return *value_; }
  std::byte* behind() { return reinterpret_cast<std::byte*>(value_ + 1); }

 private:
  std::size_t size_;
  T* value_;
};

/// A forked process that runs f until it is killed.
class partner {
 public:
  template <class F>
  explicit partner(F f) : pid_(fork()) {
    if (pid_ == 0) {
      f();
      _exit(0);
    }
  }
  partner(const partner&) = delete;
  partner& operator=(const partner&) = delete;
  ~partner() {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  [[nodiscard]] pid_t pid() const { return pid_; }

 private:
  pid_t pid_;
};

/// A word that is waited for, after spinning so long.
struct alignas(64) signal_word {
  std::atomic<std::uint32_t> value{0};
  std::atomic<std::uint32_t> sleeps{0};

  void wait_for(std::uint32_t wanted, std::chrono::nanoseconds spin) {
    const auto end = clock::now() + spin;
    while (spin.count() != 0) {
      for (int i = 0; i < 32; ++i) {
        if (value.load(std::memory_order_acquire) == wanted) return;
#if defined(__x86_64__)
        __builtin_ia32_pause();
#endif
      }
      if (clock::now() >= end) break;
    }
    for (;;) {
      sleeps.store(1);
      const std::uint32_t seen = value.load();
      if (seen == wanted) break;
      syscall(SYS_futex, &value, FUTEX_WAIT, seen, nullptr, nullptr, 0);
    }
    sleeps.store(0);
  }
  void set(std::uint32_t to) {
    value.store(to);
    if (sleeps.load() != 0) syscall(SYS_futex, &value, FUTEX_WAKE, 1, nullptr, nullptr, 0);
  }
};

struct two_words {
  signal_word there, back;
};

/// While it lives this thread, and what it starts, run on the nth of the CPUs there are: for where
/// the kernel puts two that talk to each other decides more than what they do.
class on_cpu {
 public:
  explicit on_cpu(int n) {
    sched_getaffinity(0, sizeof before_, &before_);
    cpu_set_t one;
    CPU_ZERO(&one);
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu)
      if (CPU_ISSET(cpu, &all()) && n-- == 0) CPU_SET(cpu, &one);
    sched_setaffinity(0, sizeof one, &one);  // there is none: it stays where it was
  }
  on_cpu(const on_cpu&) = delete;
  on_cpu& operator=(const on_cpu&) = delete;
  ~on_cpu() { sched_setaffinity(0, sizeof before_, &before_); }

 private:
  /// Those that the program was given.
  static const cpu_set_t& all() {
    static const cpu_set_t given = [] {
      cpu_set_t set;
      sched_getaffinity(0, sizeof set, &set);
      return set;
    }();
    return given;
  }
  cpu_set_t before_{};
};

/// Times in seconds, one for each round.
class samples {
 public:
  void add(clock::duration d) { all_.push_back(std::chrono::duration<double>(d).count()); }
  double quantile(double q) {
    if (all_.empty()) return 0;
    auto at = all_.begin() + static_cast<std::ptrdiff_t>(q * static_cast<double>(all_.size() - 1));
    std::nth_element(all_.begin(), at, all_.end());
    return *at;
  }

 private:
  std::vector<double> all_;
};

template <class Call>
clock::duration time_of(Call& call) {
  const auto start = clock::now();
  call();
  return clock::now() - start;
}

/// As counters of the benchmark, in seconds; p50 is what the table compares.
inline void say_quantiles(benchmark::State& state, samples& times, const std::string& prefix = {}) {
  state.counters[prefix + "p50"] = times.quantile(0.5);
  state.counters[prefix + "p99"] = times.quantile(0.99);
  state.counters[prefix + "max"] = times.quantile(1);
}

}  // namespace bench
