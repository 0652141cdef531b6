// SPDX-License-Identifier: MIT
#include "local/child.h"

#include <cstring>
#include <utility>

#include "core/context.h"
#include "core/worker.h"
#include "local/crash_handler.h"
#include "local/stderr_tee.h"
#include "shm/channel.h"

namespace procpool::local {
namespace {

class shared_memory_link final : public core::link {
 public:
  explicit shared_memory_link(shm::worker_half& half) noexcept : half_(half) {}

  std::optional<task> receive(std::uint32_t quota) override {
    auto t = half_.receive(quota);
    if (!t) return std::nullopt;
    return task{{t->module, t->offset}, t->type, t->run};
  }
  [[nodiscard]] std::uint32_t claimed() const override { return half_.claimed(); }
  void answer(bool retired) override { half_.answer(retired); }
  void ready() override { half_.report(shm::worker_state::ready); }
  void failed(std::span<const std::byte> error) override {
    half_.failure().raw(error.data(), error.size());
    half_.report(shm::worker_state::failed);
  }

 private:
  shm::worker_half& half_;
};

}  // namespace

void live(shm::segment& memory, std::vector<base::fd>& bells, std::uint32_t worker,
          const child_options& options) {
  memory.protect();
  shm::window& own = memory.open_window(worker);
  base::fd bell = std::move(bells[worker]);
  bells.clear();
  shm::worker_half half(memory.head(), own, memory.results_size(), bell.get());
  shared_memory_link link(half);
  core::context here{worker};
  core::enter_worker(here);
  if (options.crash_traces) {
    note_crashes(own.last, reinterpret_cast<const void*>(&core::work));
    keep_stderr(own.printed);
  }
  core::work(link, options.initializer.get(), options.quota);
}

}  // namespace procpool::local
