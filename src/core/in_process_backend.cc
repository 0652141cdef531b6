// SPDX-License-Identifier: MIT
#include "core/in_process_backend.h"

#include <unistd.h>

#include <algorithm>
#include <iterator>
#include <new>
#include <thread>
#include <utility>

#include "base/fd.h"
#include "core/descriptors.h"
#include "core/local_run.h"
#include "core/worker.h"

namespace procpool::core {
namespace {

constexpr std::align_val_t block_alignment{detail::published_alignment};

/// The task's own descriptors while it runs, whatever becomes of its parcel meanwhile; then again
/// those of the task that waits for it.
class own_descriptors final : public descriptor_source {
 public:
  using attachments = std::vector<std::shared_ptr<const detail::attachment>>;
  own_descriptors(context& here, std::span<const attachments::value_type> all)
      : here_(here), before_(std::exchange(here.descriptors, this)) {
    if (!all.empty()) all_.assign(all.begin(), all.end());
  }
  own_descriptors(const own_descriptors&) = delete;
  own_descriptors& operator=(const own_descriptors&) = delete;
  ~own_descriptors() { here_.descriptors = before_; }

  base::fd fetch(std::uint32_t number) override {
    const int descriptor = number < all_.size() ? all_[number]->descriptor() : -1;
    if (descriptor == -1) no_such_descriptor();
    return fd::copy_of(descriptor);
  }

 private:
  context& here_;
  descriptor_source* before_;
  attachments all_;
};

struct aligned_delete {
  void operator()(std::byte* p) const noexcept { ::operator delete(p, block_alignment); }
};

}  // namespace

in_process_backend::in_process_backend(std::shared_ptr<const detail::encoded_call> initializer,
                                       std::shared_ptr<const detail::encoded_call> finalizer)
    : initializer_(std::move(initializer)), finalizer_(std::move(finalizer)) {
  events_.emplace_back(worker_up{0});
}

block in_process_backend::allocate(std::size_t size) {
  std::unique_ptr<std::byte, aligned_delete> made(
      static_cast<std::byte*>(::operator new(size, block_alignment)));
  const block b{made.get(), size};
  std::lock_guard hold(mutex_);
  blocks_.emplace(place_of(b), b);
  static_cast<void>(made.release());
  return b;
}

void in_process_backend::free(block b) noexcept {
  {
    std::lock_guard hold(mutex_);
    blocks_.erase(place_of(b));
  }
  aligned_delete()(b.data);
}

// A name may be any number: only what begins a block is looked at.
std::span<const std::byte> in_process_backend::block_at(std::uint64_t place) const {
  std::lock_guard hold(mutex_);
  const auto found = blocks_.find(place);
  if (found == blocks_.end()) return {};
  return {found->second.data, found->second.size};
}

std::optional<worker_process> in_process_backend::process_of(worker_id) const {
  if (gone()) return std::nullopt;
  std::lock_guard hold(mutex_);
  using stage = worker_process::stage;
  const bool starting = initializer_ != nullptr && !up_;
  return worker_process{::getpid(), stopped_   ? stage::leaving
                                    : starting ? stage::starting
                                               : stage::up};
}

void in_process_backend::send(worker_id, const task_message& message) {
  std::lock_guard hold(mutex_);
  queue_.push_back({message, message.count});
}

// What stands in the queue has not begun.
std::uint32_t in_process_backend::recall(worker_id, task_id task, std::uint32_t keep) {
  std::lock_guard hold(mutex_);
  for (pending& p : queue_) {
    if (p.message.task == task) return p.kept = std::min(p.kept, keep);
  }
  return most_count;
}

std::uint32_t in_process_backend::claimed(worker_id, task_id task) {
  std::lock_guard hold(mutex_);
  for (const pending& p : queue_)
    if (p.message.task == task) return 0;
  return most_count;
}

void in_process_backend::poll(std::vector<event>& to) {
  std::lock_guard hold(mutex_);
  std::move(events_.begin(), events_.end(), std::back_inserter(to));
  events_.clear();
}

void in_process_backend::release(worker_id, std::uint32_t ticket) {
  std::lock_guard hold(mutex_);
  replies_.erase(ticket);
}

bool in_process_backend::initialize() {
  {
    std::lock_guard hold(mutex_);
    if (std::exchange(started_, true)) return true;
    up_ = !initializer_;
    if (up_) return true;
    ++running_;
  }
  context_scope here(context_);
  auto error = core::initialize(context_, initializer_.get());
  std::lock_guard hold(mutex_);
  --running_;
  up_ = !error;
  if (error) {  // the engine fails what is queued; nothing will be sent any more
    stopped_ = true;
    queue_.clear();
    events_.emplace_back(
        broken{true, "procpool: the initializer failed", detail::decode_error(*error, ::getpid())});
  }
  return up_;
}

// Under a task, which may use what the end destroys, it has to wait for that task's return.
bool in_process_backend::may_end() const noexcept { return stopped_ && up_ && running_ == 0; }

void in_process_backend::end() {
  bool killed = false;
  {
    std::lock_guard hold(mutex_);
    if (!may_end()) return;
    up_ = false;
    ending_ = true;
    killed = killed_;
  }
  context_scope here(context_);
  finalize(context_, killed ? nullptr : finalizer_.get());
  std::lock_guard hold(mutex_);
  ending_ = false;
}

void in_process_backend::wait(clock::time_point) {
  if (initialize()) {
    std::unique_lock hold(mutex_);
    if (!queue_.empty()) {
      pending p = queue_.front();
      queue_.pop_front();
      ++running_;
      hold.unlock();
      run(p);
      hold.lock();
      --running_;
    }
  }
  end();
}

void in_process_backend::run(const pending& p) {
  context_.values.tidy();
  auto begun = clock::now();
  context_scope here(context_);
  const own_descriptors descriptors(context_, p.message.attached);
  local_run run(p.message.parcel, p.message.first, p.kept, nullptr, context_.vectors.get());
  {
    call_count::task counted(context_.calls, run.progress());
    p.message.entry->run(run);
  }
  task_reply r;
  r.task = p.message.task;
  r.done = run.done();
  r.nanoseconds =
      static_cast<std::uint64_t>(std::chrono::nanoseconds(clock::now() - begun).count());
  r.pid = ::getpid();
  std::lock_guard hold(mutex_);
  r.ticket = tickets_++;
  kept_reply& kept = replies_[r.ticket] = {run.take_reply(), run.take_vectors()};
  r.bytes = kept.bytes;
  r.blocks = kept.vectors.get();
  r.count = p.kept;
  events_.emplace_back(task_finished{r, false});
}

void in_process_backend::retire_all() {
  std::lock_guard hold(mutex_);
  stopped_ = true;
}

void in_process_backend::kill_all() noexcept {
  std::lock_guard hold(mutex_);
  stopped_ = killed_ = true;
  queue_.clear();
}

bool in_process_backend::gone() const {
  std::lock_guard hold(mutex_);
  const bool something_to_do = finalizer_ != nullptr || context_.state() != nullptr;
  if (!stopped_ || ending_) return false;
  return !(up_ && something_to_do) || (killed_ && running_ != 0);
}

}  // namespace procpool::core
