// SPDX-License-Identifier: MIT
// A program that nobody's handler saves: a task's exception leaves main, or a noexcept function.
// Run by uncaught_test.cc as `uncaught WAY`; ends by SIGABRT.
#include <sys/resource.h>

#include <cstdint>
#include <cstdio>
#include <exception>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>

#include "procpool/procpool.h"

namespace {

struct parse_error : std::runtime_error {
  parse_error(const std::string& what, int at) : std::runtime_error(what), line(at) {}
  int line;
};
PROCPOOL_EXCEPTION(parse_error, e.what(), e.line);
struct own_error {};

int fail(int line) { throw parse_error("no number here", line); }
int crash(int at) { return *reinterpret_cast<volatile int*>(static_cast<std::uintptr_t>(at)); }
int fail_unknown(int) { throw own_error(); }

void may_not(procpool::pool& pool) noexcept { pool.apply(fail, 3); }

}  // namespace

int main(int argc, char** argv) {
  const rlimit no_core{0, 0};
  ::setrlimit(RLIMIT_CORE, &no_core);
  const std::string_view way = argc == 2 ? argv[1] : "";
  procpool::pool pool(1);
  if (way == "main") pool.apply(fail, 3);
  if (way == "noexcept") may_not(pool);
  if (way == "thread") std::thread([&] { pool.apply(fail, 3); }).join();
  if (way == "crash") pool.apply(crash, 16);
  if (way == "unknown") pool.apply(fail_unknown, 3);
  if (way == "handler") {
    std::set_terminate([] {
      try {
        throw;
      } catch (const std::exception& e) {
        std::fprintf(stderr, "the user's handler: %s\n", e.what());
      }
      std::abort();
    });
    pool.apply(fail, 3);
  }
  return 2;
}
