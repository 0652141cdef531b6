// SPDX-License-Identifier: MIT
// The degenerate twin: one worker that is the calling thread. Tasks run in wait(), through the same
// entry points, archives and records as in a process, so that a debugger sees them under their
// caller.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "core/backend.h"
#include "core/context.h"
#include "core/heap_vectors.h"
#include "procpool/detail/batch.h"

namespace procpool::core {

class in_process_backend final : public backend {
 public:
  /// Calls made in the calling thread, or null: before the first task, and after the last.
  in_process_backend(std::shared_ptr<const detail::encoded_call> initializer,
                     std::shared_ptr<const detail::encoded_call> finalizer);

  [[nodiscard]] std::uint32_t workers() const override { return 1; }
  [[nodiscard]] std::uint32_t room() const override { return 1u << 16; }
  void grow(std::uint32_t) override {}
  void keep(std::uint32_t) override {}
  block allocate(std::size_t size) override;
  void free(block b) noexcept override;
  [[nodiscard]] std::uint64_t place_of(const block& b) const noexcept override {
    return reinterpret_cast<std::uintptr_t>(b.data);
  }
  void withdrawn() noexcept override { withdrawn_.fetch_add(1, std::memory_order_release); }
  [[nodiscard]] std::optional<worker_process> process_of(worker_id) const override;
  void send(worker_id worker, const task_message& message) override;
  void flush() override {}
  std::uint32_t recall(worker_id worker, task_id task, std::uint32_t keep) override;
  [[nodiscard]] std::uint32_t claimed(worker_id worker, task_id task) override;
  // What runs, runs in the thread that would have to stop it.
  [[nodiscard]] bool can_hold() const noexcept override { return true; }  // there is no need to
  [[nodiscard]] std::optional<at_hand> look(worker_id) override { return std::nullopt; }
  std::optional<at_hand> hold(worker_id) override { return std::nullopt; }
  [[nodiscard]] bool holding(worker_id) const override { return false; }
  void let_go(worker_id) override {}
  void ask(worker_id) override {}
  bool signal(worker_id, int) override { return true; }
  bool kill(worker_id) override { return true; }
  void give(worker_id, std::uint32_t, int) override {}
  void poll(std::vector<event>& to) override;
  void release(worker_id worker, std::uint32_t ticket) override;
  void bury(worker_id) override {}
  void attend(bool) override {}
  void leave(bool) override {}
  void wait(clock::time_point deadline) override;
  void nudge() noexcept override {}
  woken_by wait_in_background(clock::time_point) override { return woken_by::interrupt; }
  void interrupt() noexcept override {}
  void stand_by() override {}
  [[nodiscard]] clock::time_point next_deadline() const override {
    return clock::time_point::max();
  }
  void retire(worker_id) override {}
  void retire_all() override;
  void kill_all() noexcept override;
  [[nodiscard]] bool gone() const override;

 private:
  static constexpr std::uint32_t most_count = ~std::uint32_t{0};  // of a task that runs
  struct pending {
    task_message message;
    std::uint32_t kept;
  };
  /// The worker's life: it begins, has something to do at its end, and ends.
  [[nodiscard]] bool initialize();
  [[nodiscard]] bool may_end() const noexcept;
  void end();
  void run(const pending& p);
  [[nodiscard]] std::span<const std::byte> block_at(std::uint64_t place) const;

  std::shared_ptr<const detail::encoded_call> initializer_;
  std::shared_ptr<const detail::encoded_call> finalizer_;
  std::atomic<std::uint32_t> withdrawn_{0};
  context context_{0, withdrawn_, [this](std::uint64_t place) { return block_at(place); },
                   std::make_shared<heap_vectors>()};
  mutable std::mutex mutex_;
  // Guarded by mutex_: wait() runs without the engine's lock.
  std::unordered_map<std::uint64_t, block> blocks_;  // by place
  bool started_ = false;
  bool up_ = false;       // the initializer returned; until the end has begun
  bool stopped_ = false;  // no more tasks
  bool killed_ = false;   // and no finalizer
  bool ending_ = false;   // the finalizer runs, or what it leaves behind is destroyed
  int running_ = 0;       // tasks, one inside the other: a task may wait for another
  std::deque<pending> queue_;
  std::vector<event> events_;
  struct kept_reply {
    std::vector<std::byte> bytes;
    std::unique_ptr<given_vectors> vectors;
  };
  std::unordered_map<std::uint32_t, kept_reply> replies_;  // by ticket
  std::uint32_t tickets_ = 0;
};

}  // namespace procpool::core
