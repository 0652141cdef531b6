// SPDX-License-Identifier: MIT
// A board of counters that a test and its tasks share, whatever started the workers: a file in the
// tests' temporary folder. board owns it; marks, a plain value, is what a lambda captures or a task
// takes.
#pragma once

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <mutex>
#include <stdexcept>
#include <string>

#include "process_census.h"

namespace procpool::testing {

class marks {
 public:
  static constexpr std::size_t size = 1024;
  using counter = std::atomic<int>;

  counter& operator[](std::size_t i) const { return map()[i]; }
  void add(std::size_t i) const { ++(*this)[i]; }
  [[nodiscard]] int at(std::size_t i) const { return (*this)[i].load(); }
  void set(std::size_t i, int value = 1) const { (*this)[i] = value; }
  /// Until counter i is at least `least`. A test that would wait for ever fails instead.
  void await(std::size_t i, int least = 1) const {
    if (!eventually([&] { return at(i) >= least; }, std::chrono::seconds(60)))
      throw std::runtime_error("nobody set mark " + std::to_string(i));
  }

  std::array<char, 200> path{};

 private:
  friend class board;
  struct places {
    std::mutex mutex;
    std::map<std::string, counter*> known;
  };
  static places& all() {
    static places* p = new places;  // tasks may look while the process ends
    return *p;
  }
  [[nodiscard]] counter* map() const {
    places& p = all();
    std::lock_guard hold(p.mutex);
    counter*& at = p.known[path.data()];
    if (at != nullptr) return at;
    const int fd = ::open(path.data(), O_RDWR | O_CLOEXEC);
    if (fd < 0) throw std::runtime_error("the board is gone");
    void* mapped =
        ::mmap(nullptr, size * sizeof(counter), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    ::close(fd);
    if (mapped == MAP_FAILED) throw std::runtime_error("the board cannot be mapped");
    return at = static_cast<counter*>(mapped);
  }
};

class board {
 public:
  board() {
    std::string path = ::testing::TempDir() + "procpool-board-XXXXXX";
    const int fd = ::mkstemp(path.data());
    if (fd < 0 || ::ftruncate(fd, marks::size * sizeof(marks::counter)) != 0)
      throw std::runtime_error("no board");
    ::close(fd);
    path.copy(marks_.path.data(), marks_.path.size() - 1);
  }
  board(const board&) = delete;
  board& operator=(const board&) = delete;
  ~board() {
    auto& p = marks::all();
    std::lock_guard hold(p.mutex);
    if (auto known = p.known.find(marks_.path.data()); known != p.known.end()) {
      ::munmap(known->second, marks::size * sizeof(marks::counter));
      p.known.erase(known);
    }
    ::unlink(marks_.path.data());
  }
  /// What a task captures.
  [[nodiscard]] marks here() const { return marks_; }
  const marks* operator->() const { return &marks_; }

 private:
  marks marks_;
};

}  // namespace procpool::testing
