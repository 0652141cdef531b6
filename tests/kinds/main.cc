// SPDX-License-Identifier: MIT
// A program that is built in every way a program can be (kinds.sh): callables of each sort over
// each start method, from the main thread and from another, an exception and a death.
#include <csignal>
#include <cstdio>
#include <exception>
#include <functional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "procpool/procpool.h"

namespace {

int square(int x) { return x * x; }

template <int N>
int times(int x) {
  return N * x;
}

struct greeter {
  std::string hello;
  std::string operator()(const std::string& name) const { return hello + " " + name; }
};

struct account {
  int balance = 0;
  [[nodiscard]] int after(int change) const { return balance + change; }
};

void require(bool holds, const char* what) {
  if (!holds) throw std::logic_error(what);
}

void play(procpool::start_method method) {
  procpool::pool pool({.processes = 2, .start_method = method});
  const std::vector<int> xs{1, 2, 3};
  require(pool.map(square, xs) == std::vector<int>{1, 4, 9}, "a function");
  require(pool.map(times<5>, xs) == std::vector<int>{5, 10, 15}, "a template");
  require(pool.map([](int x) { return x + 1; }, xs) == std::vector<int>{2, 3, 4}, "a lambda");
  int k = 10;
  require(pool.map([k](int x) { return k * x; }, xs) == std::vector<int>{10, 20, 30}, "a capture");
  require(pool.apply(greeter{"dear"}, "reader") == "dear reader", "a function object");
  require(pool.apply(&account::after, account{5}, 2) == 7, "a member function");
  try {
    pool.apply([](const std::string& s) { return s.at(10); }, "short");
    require(false, "an exception");
  } catch (const std::out_of_range&) {
  }
  try {
    pool.apply([] { std::raise(SIGKILL); });
    require(false, "a death");
  } catch (const procpool::worker_died& e) {
    require(e.signal() == SIGKILL, "the signal");
  }
  require(pool.apply(square, 7) == 49, "afterwards");
}

}  // namespace

int main(int argc, char** argv) {
  procpool::init(argc, argv);
  try {
    for (auto method : {procpool::start_method::fork, procpool::start_method::forkserver,
                        procpool::start_method::spawn}) {
      play(method);
      std::exception_ptr failed;
      std::thread([&] {
        try {
          play(method);
        } catch (...) {
          failed = std::current_exception();
        }
      }).join();
      if (failed) std::rethrow_exception(failed);
    }
  } catch (const std::exception& e) {
    std::printf("failed: %s\n", e.what());
    return 1;
  }
  std::puts("ok");
}
