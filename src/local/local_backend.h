// SPDX-License-Identifier: MIT
// Workers on this machine: the supervisor's processes and the segment's channels as one backend.
// The only place where a task's number, a ring index and a worker's process meet.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "base/cgroup.h"
#include "base/entry.h"
#include "base/fd.h"
#include "base/process_mark.h"
#include "core/backend.h"
#include "local/bell.h"
#include "local/child.h"
#include "local/supervisor.h"
#include "local/worker_set.h"
#include "process/zygote_client.h"
#include "procpool/options.h"
#include "shm/arena.h"
#include "shm/channel.h"
#include "shm/held_blocks.h"
#include "shm/segment.h"

namespace procpool::local {

class local_backend final : public core::backend {
 public:
  /// Makes the zygote and the workers, by any method but in_process. Throws std::system_error,
  /// pool_broken when a fresh execution refuses to serve; nothing is left behind then.
  /// `mark`, `groups`: of this process.
  local_backend(std::uint32_t workers, start_method method, const child_options& options,
                std::shared_ptr<const base::process_mark> mark, const base::cgroups& groups);
  ~local_backend() override;

  [[nodiscard]] std::uint32_t workers() const override { return many_; }
  void grow(std::uint32_t workers) override;
  void keep(std::uint32_t workers) override;
  [[nodiscard]] std::uint32_t room() const override { return shm::ring_slots - 1; }
  core::block allocate(std::size_t size) override;
  void free(core::block b) noexcept override;
  [[nodiscard]] std::uint64_t place_of(const core::block& b) const noexcept override {
    return static_cast<std::uint64_t>(b.data - memory_->parcels().data());
  }
  void withdrawn() noexcept override {
    memory_->head().withdrawn.fetch_add(1, std::memory_order_release);
  }
  [[nodiscard]] std::optional<core::worker_process> process_of(
      core::worker_id worker) const override;
  void send(core::worker_id worker, const core::task_message& message) override;
  void flush() override;
  std::uint32_t recall(core::worker_id worker, core::task_id task, std::uint32_t keep) override;
  [[nodiscard]] std::uint32_t claimed(core::worker_id worker, core::task_id task) override;
  [[nodiscard]] bool can_hold() const noexcept override { return can_hold_; }
  [[nodiscard]] std::optional<core::at_hand> look(core::worker_id worker) override;
  std::optional<core::at_hand> hold(core::worker_id worker) override;
  [[nodiscard]] bool holding(core::worker_id worker) const override {
    return place_of(worker).channel.gate_is_closed();
  }
  void let_go(core::worker_id worker) override { place_of(worker).channel.open_gate(); }
  void ask(core::worker_id worker) override { place_of(worker).channel.ask(); }
  bool signal(core::worker_id worker, int number) override {
    return supervisor_->signal(worker, number);
  }
  bool kill(core::worker_id worker) override { return supervisor_->kill(worker); }
  void give(core::worker_id worker, std::uint32_t serial, int descriptor) override;
  void poll(std::vector<core::event>& to) override;
  void release(core::worker_id worker, std::uint32_t ticket) override;
  void bury(core::worker_id worker) override;
  void attend(bool woken) override { bell_->attend(woken); }
  void leave(bool quietly) override;
  void wait(clock::time_point deadline) override;
  void nudge() noexcept override { bell_->nudge(); }
  core::woken_by wait_in_background(clock::time_point deadline) override;
  void interrupt() noexcept override { bell_->interrupt(); }
  void stand_by() override { bell_->stand_by(); }
  [[nodiscard]] clock::time_point next_deadline() const override;
  void retire(core::worker_id worker) override;
  void retire_all() override;
  void kill_all() noexcept override;
  [[nodiscard]] bool gone() const override { return supervisor_->gone(); }

 private:
  /// What a slot of a ring holds.
  struct sent {
    core::task_id task = core::no_task;  // as of a slot that tells to leave
    std::uint32_t count = 0;
    core::block
        copy;  // of a parcel that is too large for the slot, and lies in no block of its own
  };
  struct place {
    place(const std::shared_ptr<shm::segment>& memory,
          std::shared_ptr<const base::process_mark> mark, std::uint32_t worker);
    shm::parent_half channel;
    std::shared_ptr<shm::held_blocks> held;
    base::fd bell;  // an eventfd, by which the worker wakes the parent
    base::fd line;  // a socket, by which the parent gives this worker descriptors
    std::array<sent, shm::ring_slots> slots;
    bool to_wake = false;
    core::at_hand seen;         // the item that ran when it was last looked at,
    std::uint32_t seen_at = 0;  // and its task's ring index
  };

  static constexpr std::uint32_t in_block = 64;  // 4,096 pointers at once take 8 pages to clear
  using place_block = std::array<std::unique_ptr<place>, in_block>;
  [[nodiscard]] place& place_of(core::worker_id worker) const noexcept {
    return *(*blocks_[worker / in_block])[worker % in_block];
  }
  [[nodiscard]] bool ready() const noexcept;
  [[nodiscard]] bool part_ready() const noexcept;
  [[nodiscard]] bool elsewhere() const noexcept;
  [[nodiscard]] supervisor::outfit prepare(std::uint32_t worker, bool suspicious);
  [[nodiscard]] std::unique_ptr<process::zygote_client> make_zygote(
      start_method method, const child_options& options, const std::function<void()>& meanwhile);
  void add_places(std::uint32_t workers);
  /// Tells the workers of the modules that were loaded since they were last told.
  void tell_modules();
  const base::token& token_of(const detail::entry_point* entry);
  [[nodiscard]] std::optional<core::at_hand> told(core::worker_id worker,
                                                  const std::optional<shm::at_hand>& at);
  [[nodiscard]] core::task_reply reply_of(std::uint32_t worker, const shm::answer& a) const;
  [[nodiscard]] core::task_finished finished(std::uint32_t worker, const shm::answer& a) const {
    return {reply_of(worker, a), a.ending == shm::reply_ending::retires};
  }
  /// Something may come from it from now on.
  void expect(core::worker_id worker) noexcept;
  void poll_worker(std::uint32_t worker, std::vector<core::event>& to);
  void poll_parts(std::vector<core::event>& to);
  void leaves(core::worker_id worker) noexcept;
  void lose(const supervisor::ended& e, std::vector<core::event>& to);
  void free_copy(sent& s) noexcept;
  [[nodiscard]] bool find(core::worker_id worker, core::task_id task, std::uint32_t& index) const;

  std::shared_ptr<shm::segment> memory_;  // the vectors have it too that the user still holds
  std::shared_ptr<const base::process_mark> mark_;
  std::unique_ptr<process::zygote_client> zygote_;
  std::unique_ptr<bell> bell_;
  // Room for all that there could be: it never moves, so that those who wait may look at a busy
  // worker's place without a lock.
  std::array<std::unique_ptr<place_block>, core::most_processes / in_block> blocks_;
  std::uint32_t many_ = 0;  // places that there are
  // Those that something may come from: that start, hold a task, or leave. Where nothing was asked
  // for nothing is looked at, whatever stands there.
  worker_set busy_;
  // Of the busy ones, those that start or leave: that takes longer than anybody spins, and the CPU
  // on which the parent would is the one they need.
  worker_set coming_or_going_;
  std::unique_ptr<supervisor> supervisor_;
  std::vector<std::uint32_t> to_wake_;
  std::unordered_map<const detail::entry_point*, base::token> tokens_;
  const detail::entry_point* last_entry_ = nullptr;
  const base::token* last_token_ = nullptr;
  std::uint64_t modules_told_ = 0;      // base::modules_seen() then
  std::vector<std::uint64_t> told_of_;  // the modules' ids
  bool retiring_ = false;
  std::atomic<bool> slept_{false};  // since the last poll, or nearly: whoever waited waited long
  std::uint32_t polls_ = 0;
  const bool can_hold_;
  std::optional<base::oom_watch> oom_;  // empty while the zygote is made
  std::mutex arena_mutex_;
  shm::arena arena_;  // guarded by arena_mutex_: parcels are encoded without the engine's lock
};

}  // namespace procpool::local
