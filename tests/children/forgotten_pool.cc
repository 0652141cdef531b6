// SPDX-License-Identifier: MIT
// A program that leaves its pool to the end of the process, each way there is. Run by
// contract_lifecycle_test.cc as `forgotten_pool MODE FILE`; each task adds a line to FILE.
#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>

#include "procpool/procpool.h"

namespace {

void note(const std::string& file, int n) {
  const int fd = ::open(file.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC);
  const std::string line = std::to_string(n) + "\n";
  if (::write(fd, line.data(), line.size()) < 0) std::abort();
  ::close(fd);
}

std::unique_ptr<procpool::pool> at_exit;

// Destroyed before at_exit: its destructor still submits.
struct last_wish {
  ~last_wish() {
    if (file.empty()) return;
    at_exit->apply(note, file, 100);
    at_exit->close();
    try {
      at_exit->apply(note, file, 101);
      std::_Exit(3);
    } catch (const procpool::pool_closed&) {
    }
  }
  std::string file;
};
last_wish wish;

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  const std::string_view mode = argv[1];
  const std::string file = argv[2];
  if (mode == "leaked") {
    // Never destroyed, though not lost: the workers must notice by themselves.
    static auto* leaked = new procpool::pool(2);
    leaked->apply(note, file, 0);
    return 0;
  }
  at_exit = std::make_unique<procpool::pool>(2);
  if (mode == "wish") wish.file = file;
  for (int i = 0; i < 20; ++i) static_cast<void>(at_exit->apply_async(note, file, i));
  if (mode == "exit") std::exit(0);
  return 0;
}
