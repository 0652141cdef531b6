// SPDX-License-Identifier: MIT
#include "local/child.h"

#include <stdio_ext.h>

#include <chrono>
#include <cstdio>
#include <exception>
#include <memory>
#include <optional>
#include <set>
#include <utility>

#include "base/memory_watch.h"
#include "base/modules.h"
#include "base/stdio.h"
#include "base/sys.h"
#include "core/context.h"
#include "core/descriptors.h"
#include "core/failure.h"
#include "core/worker.h"
#include "local/crash_handler.h"
#include "local/rlimits.h"
#include "local/stderr_tee.h"
#include "shm/channel.h"
#include "shm/module_list.h"

namespace procpool::local {
namespace {

class shared_memory_link final : public core::link, public core::descriptor_source {
 public:
  explicit shared_memory_link(shm::worker_half& half) noexcept : half_(half) {}

  std::optional<task> receive(std::uint32_t quota) override {
    auto t = half_.receive(quota);
    if (!t) return std::nullopt;
    return task{{t->module, t->offset}, t->type, t->run};
  }
  [[nodiscard]] std::uint32_t taken() const override { return half_.taken(); }
  bool answer(bool retires) override { return half_.answer(retires); }
  void ready() override { half_.report(shm::worker_state::ready); }
  void failed(std::span<const std::byte> error) override {
    half_.failure().raw(error.data(), error.size());
    half_.report(shm::worker_state::failed);
  }

  // A thread that a task has started is at no task: what it reads is none's arguments.
  base::fd fetch(std::uint32_t number) override {
    auto got = sys::gettid() == sys::getpid() ? half_.want(number) : std::nullopt;
    if (!got) core::no_such_descriptor();
    return std::move(*got);
  }

 private:
  shm::worker_half& half_;
};

// The segment that modules are looked up in: the worker's only one.
const shm::segment* told_by = nullptr;

std::optional<base::module_name> module_of_parent(std::uint64_t id) {
  return shm::module_of(told_by->head(), id);
}

/// In a handler: that exception is why there is no worker.
void say_why(core::link& parent) {
  detail::vector_writer record;
  core::encode_error(record, std::current_exception());
  parent.failed(record.take());
}

// What a zygote calls before it forks is not listed.
void call_what_workers_call() {
  static_cast<void>(sys::getppid());
  static_cast<void>(sys::getcpu());
  static_cast<void>(sys::get_membarriers());
  static_cast<void>(sys::write(-1, nullptr, 0));
  static_cast<void>(std::chrono::steady_clock::now());
  static_cast<void>(std::set<int>{0});
  static_cast<void>(::__fpending(stdout));
  base::flush_stdio();
  look_up_unwinder();
}

}  // namespace

void look_names_up() {
  static const bool done = (call_what_workers_call(), true);
  static_cast<void>(done);
}

void hear_of_modules(const shm::segment& memory) noexcept {
  told_by = &memory;
  base::set_module_source(module_of_parent);
}

void prepare_to_live(const child_options& options) {
  look_names_up();
  if (!options.crash_traces) return;
  handle_crashes();
  tee_stderr();
}

void live(shm::segment& memory, process::gifts given, std::uint32_t worker,
          const child_options& options) {
  // For parent_half::close_gate. A system that refuses it refuses the parent's part, too.
  if (sys::get_membarriers() != 0 && errno != ENOSYS && errno != EPERM && errno != EINVAL)
    sys::raise("membarrier");
  shm::window& own = memory.open_window(worker);
  hear_of_modules(memory);
  const auto& [bell, line] = given;
  shm::worker_half half(memory.head(), own, memory.results_size(), bell.get(), line.get());
  shared_memory_link link(half);
  // Never destroyed: threads that tasks have started may ask it until the process ends.
  core::context& here = *new core::context(
      worker, memory.head().withdrawn,
      [parcels = memory.parcels()](std::uint64_t at) {
        return at < parcels.size() ? parcels.subspan(at) : std::span<std::byte>{};
      },
      half.vectors(), &own.asked);
  here.descriptors = &link;
  core::enter_worker(here);
  if (options.crash_traces) {
    note_crashes(own.last, reinterpret_cast<const void*>(&core::work));
    keep_stderr(own.printed);
  }
  try {
    if (options.most_memory != 0)
      half.watch(std::make_unique<base::memory_watch>(options.most_memory));
    set_limits(options.limits, memory.mapped_by_worker());
  } catch (...) {
    say_why(link);
    return;
  }
  core::work(link, here, {options.initializer.get(), options.finalizer.get(), options.quota});
}

void fail_to_live(shm::segment& memory, base::fd bell, std::uint32_t worker) {
  shm::window& own = memory.open_window(worker);
  shm::worker_half half(memory.head(), own, memory.results_size(), bell.get());
  shared_memory_link link(half);
  say_why(link);
}

}  // namespace procpool::local
