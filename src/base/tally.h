// SPDX-License-Identifier: MIT
// Named counters in memory that every process forked later shares, each with a trip wire: what the
// instrumented builds count and break by. Used by fault.cc and step.cc only.
//
// Counting takes no lock and allocates nothing: a process may be killed anywhere in here, a fork
// may happen anywhere in here, and the others go on.
#pragma once

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <string>
#include <vector>

namespace procpool::base {

class tally {
 public:
  struct count {
    std::string name;
    std::uint64_t hits;
  };

  /// Lives until the process ends; null when there is no memory. Fresh executions of the program
  /// find the same one: `variable` of the environment tells where, as long as this process lives.
  static tally* create(const char* variable) noexcept {
    const int fd = ::memfd_create(variable, MFD_CLOEXEC);
    if (fd == -1 || ::ftruncate(fd, sizeof(tally)) != 0) return nullptr;
    void* at = ::mmap(nullptr, sizeof(tally), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED) return nullptr;
    std::array<char, 64> path{};
    std::snprintf(path.data(), path.size(), "/proc/%d/fd/%d", ::getpid(), fd);
    ::setenv(variable, path.data(), 1);
    return new (at) tally;
  }
  /// In a fresh execution: the one of the process that began to count; null when none did.
  static tally* inherited(const char* variable) noexcept {
    const char* path = std::getenv(variable);
    const int fd = path == nullptr ? -1 : ::open(path, O_RDWR | O_CLOEXEC);
    if (fd == -1) return nullptr;
    void* at = ::mmap(nullptr, sizeof(tally), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    ::close(fd);
    return at == MAP_FAILED ? nullptr : static_cast<tally*>(at);
  }

  /// Counts; true when this hit is the one that was armed. `value` is then what it was armed with.
  bool hit(const char* name, int& value) noexcept {
    entry* e = find(name);
    if (e == nullptr) return false;
    const std::uint64_t trip = e->trip.load();
    const std::uint64_t now = e->hits.fetch_add(1) + 1;
    if (trip == 0 || now < trip || now - trip >= e->times.load()) return false;
    value = e->value.load();
    fired_.store(true);
    return true;
  }
  /// Arms the nth hit from now on, counted over all processes, and those that follow up to `times`.
  void arm(const char* name, std::uint64_t nth, int value, std::uint64_t times = 1) noexcept {
    fired_.store(false);
    if (entry* e = find(name); e != nullptr) {
      e->value.store(value);
      e->times.store(times);
      e->trip.store(e->hits.load() + nth);
    }
  }
  [[nodiscard]] bool fired() const noexcept { return fired_.load(); }

  [[nodiscard]] std::vector<count> counts() const {
    std::vector<count> all;
    for (const entry& e : entries_)
      if (e.state.load(std::memory_order_acquire) == ready) all.push_back({e.name, e.hits.load()});
    return all;
  }
  /// Counts from zero, nothing armed. The names stay.
  void reset() noexcept {
    fired_.store(false);
    for (entry& e : entries_) {
      e.trip.store(0);
      e.hits.store(0);
    }
  }

 private:
  enum : std::uint32_t { vacant, naming, ready };
  struct entry {
    std::atomic<std::uint32_t> state{vacant};
    char name[108] = {};
    std::atomic<std::uint64_t> hits{0};
    std::atomic<std::uint64_t> trip{0};   // the hit, counted from 1, that trips; 0: none
    std::atomic<std::uint64_t> times{1};  // how many in a row do
    std::atomic<int> value{0};
  };

  tally() = default;

  // The entry of that name, made when there is none; null when the table is full.
  entry* find(const char* name) noexcept {
    for (entry& e : entries_) {
      std::uint32_t seen = vacant;
      if (e.state.compare_exchange_strong(seen, naming, std::memory_order_acquire)) {
        std::strncpy(e.name, name, sizeof e.name - 1);
        e.state.store(ready, std::memory_order_release);
        return &e;
      }
      // Whoever writes a name may be killed over it: not worth waiting for without end. At worst a
      // name then has two entries.
      for (int spins = 0; seen == naming && spins < 1'000'000; ++spins)
        seen = e.state.load(std::memory_order_acquire);
      if (seen == ready && std::strncmp(e.name, name, sizeof e.name - 1) == 0) return &e;
    }
    return nullptr;
  }

  std::atomic<bool> fired_{false};
  entry entries_[128];
};

}  // namespace procpool::base
