// SPDX-License-Identifier: MIT
#include "local/executed.h"

#include <fcntl.h>

#include <csignal>
#include <cstdlib>
#include <memory>
#include <string>
#include <system_error>
#include <utility>

#include "base/modules.h"
#include "base/step.h"
#include "base/sys.h"
#include "local/boot.h"
#include "local/child.h"
#include "process/zygote_server.h"
#include "procpool/error.h"
#include "shm/module_list.h"

namespace procpool::local {
namespace {

/// One of those we were executed with; from now on the next execution does not have it by itself.
base::fd inherited(int number) {
  base::fd d(number);
  sys::check(sys::fcntl(number, F_SETFD, FD_CLOEXEC), "a descriptor of the pool");
  return d;
}

/// A library that was replaced on disk is met here, before any of its code is called for the pool.
void check_modules(const shm::segment& memory) {
  for (const base::module_name& m : shm::modules_of(memory.head()))
    if (auto why = base::other_build(m)) throw pool_broken(*why);
}

constexpr int socket_number = process::first_descriptor;
constexpr int owner_number = socket_number + 1;
constexpr int memory_number = owner_number + 1;
// A worker's:
constexpr int own_memory_number = process::first_descriptor;
constexpr int own_bell_number = own_memory_number + 1;
constexpr int own_line_number = own_bell_number + 1;

[[noreturn]] void serve_as_zygote(base::fd& socket) {
  PROCPOOL_STEP("zygote: executed");
  base::fd owner = inherited(owner_number);
  shm::segment memory(inherited(memory_number));
  check_modules(memory);
  hear_of_modules(memory);
  const boot b = read_boot(memory);
  PROCPOOL_STEP("zygote: knows its pool");

  process::serve_zygote(
      std::move(socket), std::move(owner),
      [&](std::uint32_t worker, std::uint32_t, process::gifts given) {
        if (b.spawn) {
          PROCPOOL_STEP("worker: about to be executed");
          const int own[] = {memory.descriptor(), given[0].get(), given[1].get()};
          const int error = process::become_again({process::assignment::role::worker, worker}, own);
          try {
            throw std::system_error(error, std::system_category(),
                                    "procpool: executing this program again");
          } catch (...) {
            fail_to_live(memory, std::move(given[0]), worker);
            process::leave(EXIT_FAILURE);
          }
        }
        live(memory, std::move(given), worker, b.options);
      },
      [&] {
        if (!b.spawn) prepare_to_live(b.options);
      });
}

void serve_as_worker(std::uint32_t worker) {
  PROCPOOL_STEP("worker: executed");
  shm::segment memory(inherited(own_memory_number));
  process::gifts given{inherited(own_bell_number), inherited(own_line_number)};
  try {
    check_modules(memory);
    hear_of_modules(memory);
    const boot b = read_boot(memory);
    prepare_to_live(b.options);
    live(memory, std::move(given), worker, b.options);
  } catch (...) {
    if (!given[0]) throw;
    fail_to_live(memory, std::move(given[0]), worker);
  }
}

}  // namespace

void serve(const process::assignment& a) noexcept {
  process::set_depth(process::take_depth());
  if (a.as == process::assignment::role::worker) {
    try {
      process::put_handlers_away();
      process::rename(process::worker_name);
      serve_as_worker(a.worker);
      PROCPOOL_STEP("worker: leaves");
    } catch (...) {  // as in a forked worker
      process::leave(EXIT_FAILURE);
    }
    process::leave(EXIT_SUCCESS);
  }
  base::fd socket;
  try {
    socket = inherited(socket_number);
    sigset_t all;  // some static constructor may have thought otherwise
    sigfillset(&all);
    sys::thread_sigmask(SIG_BLOCK, &all, nullptr);
    serve_as_zygote(socket);
  } catch (const std::system_error& e) {
    process::refuse_to_serve(socket, e.code().value());
  } catch (const std::exception& e) {
    process::refuse_to_serve(socket, e.what());
  }
}

}  // namespace procpool::local
