// SPDX-License-Identifier: MIT
// Workers made by hand: a backend whose tasks the test itself takes, answers, or dies under. No
// process, no shared memory. Every function may be called from any thread.
#pragma once

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <iterator>
#include <map>
#include <mutex>
#include <new>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/backend.h"

namespace procpool::core {

class fake_backend final : public backend {
 public:
  struct sent {
    task_id task;
    std::uint32_t count;  // as it was sent
    std::uint32_t kept;   // less what was taken back
    std::uint32_t claimed = 0;
    std::vector<std::byte> parcel;
    std::uint32_t first;
    bool each = false;
  };

  explicit fake_backend(std::uint32_t workers, std::uint32_t slots = 16)
      : rings_(workers),
        is_up_(workers),
        at_(workers),
        held_(workers),
        wanted_(workers),
        slots_(slots) {
    buried_.reserve(1000);  // bury() must not fail
  }

  // ---- what the test does as a worker
  void up(worker_id w) {
    std::lock_guard hold(mutex_);
    is_up_[w] = true;
    happen(worker_up{w});
  }
  /// Claims up to n items of the task at hand; returns how many are claimed now.
  std::uint32_t claim(worker_id w, std::uint32_t n) {
    std::lock_guard hold(mutex_);
    sent& s = rings_[w].front();
    return s.claimed = std::min(s.kept, s.claimed + n);
  }
  /// Answers the task at hand, whole.
  void finish(worker_id w) { answer(w, ~std::uint32_t{0}); }
  /// Answers the task at hand up to item `done`, and leaves; what else it holds is left.
  void retire(worker_id w, std::uint32_t done) {
    answer(w, done, true);
    lose(w, 0, false, true, 0);
  }
  /// Ends in the middle of item `done` of the task at hand; or, not `started`, between two items.
  void die(worker_id w, std::uint32_t done = 0, bool started = true, int status = 9) {
    lose(w, done, started, false, status);
  }
  /// So many items of the task at hand have ended, and it goes on.
  void progress(worker_id w, std::uint32_t done) {
    std::lock_guard hold(mutex_);
    sent& s = rings_[w].front();
    s.claimed = std::max(s.claimed, done);
    task_reply part = reply_to(w, s, done);
    parts_.push_back(std::move(replies_.extract(part.ticket).mapped()));
    happen(task_progressed{part});
  }
  /// What each task takes, as workers say.
  void set_nanoseconds(std::uint64_t n) {
    std::lock_guard hold(mutex_);
    nanoseconds_ = n;
  }
  /// Asks for what is attached to the task at hand under that number.
  void want(worker_id w, std::uint32_t number, std::uint32_t serial) {
    std::lock_guard hold(mutex_);
    happen(descriptor_wanted{w, rings_[w].front().task, number, serial});
  }
  void break_down(const broken& why) {
    std::lock_guard hold(mutex_);
    happen(why);
  }

  /// Item k of the task at hand runs, since then.
  void run(worker_id w, std::uint32_t k, clock::time_point since = clock::now()) {
    std::lock_guard hold(mutex_);
    sent& s = rings_[w].front();
    s.claimed = std::max(s.claimed, k + 1);
    at_[w] = {s.task, k, true, since};
  }
  /// Answers the task at hand up to item `done`, as a worker that is held does.
  void stop_at(worker_id w, std::uint32_t done) { answer(w, done); }
  void refuse_holds(bool refuse) {
    std::lock_guard hold(mutex_);
    refusing_holds_ = refuse;
  }

  void delay_signals(bool delay) {
    std::lock_guard hold(mutex_);
    delaying_signals_ = delay;
    for (worker_id w : std::exchange(delayed_, {})) happen(signal_sent{w});
  }

  // ---- what the test sees
  /// What was done to stop what runs, in order: "token", "signal 15", "kill".
  std::vector<std::string> steps() const { return std::lock_guard(mutex_), steps_; }
  int holds() const { return std::lock_guard(mutex_), holds_; }
  bool is_held(worker_id w) const { return std::lock_guard(mutex_), held_[w]; }
  std::vector<sent> ring(worker_id w) const {
    std::lock_guard hold(mutex_);
    return {rings_[w].begin(), rings_[w].end()};
  }
  std::size_t held(worker_id w) const { return ring(w).size(); }
  /// Everything that happened has been dealt with, and whoever should wait does.
  bool quiet() const {
    std::lock_guard hold(mutex_);
    return events_.empty() && (attended_ ? waiting_ : in_background_);
  }
  /// Until when the background thread sleeps, when it does.
  clock::time_point background_deadline() const {
    std::lock_guard hold(mutex_);
    return in_background_ ? background_deadline_ : clock::time_point::min();
  }
  /// Until then the background thread, once it sleeps, does not come back.
  void hold_background(bool held) {
    std::lock_guard hold(mutex_);
    background_held_ = held;
    changed_.notify_all();
  }
  int interrupts() const { return std::lock_guard(mutex_), interrupts_; }
  bool waiting() const { return std::lock_guard(mutex_), waiting_; }
  struct gift {
    worker_id worker;
    std::uint32_t serial;
    int descriptor;
  };
  std::vector<gift> given() const { return std::lock_guard(mutex_), given_; }
  std::size_t unreleased() const { return std::lock_guard(mutex_), replies_.size(); }
  std::vector<worker_id> buried() const { return std::lock_guard(mutex_), buried_; }
  /// How many workers the engine wants, and whom it has told to leave.
  std::uint32_t wanted() const { return std::lock_guard(mutex_), wanted_; }
  std::vector<worker_id> told_to_leave() const { return std::lock_guard(mutex_), told_to_leave_; }
  bool retired() const { return std::lock_guard(mutex_), retiring_; }
  bool killed() const { return std::lock_guard(mutex_), killed_; }
  std::size_t withdrawals() const { return withdrawals_; }
  std::size_t blocks() const { return std::lock_guard(mutex_), blocks_; }
  void set_deadline(clock::time_point t) {
    std::lock_guard hold(mutex_);
    own_deadline_ = t;
  }
  /// The nth send from now on throws.
  void fail_send(int nth) {
    std::lock_guard hold(mutex_);
    failing_send_ = nth;
  }

  /// f is called under the engine's lock, by whoever has just sent something or looked whether to,
  /// until another takes its place; null: nothing is.
  void at_flush(std::function<void()> f) {
    std::lock_guard hold(mutex_);
    at_flush_ = std::move(f);
  }

  /// Every recall from now on throws.
  void fail_recalls() {
    std::lock_guard hold(mutex_);
    failing_recalls_ = true;
  }

  // ---- backend
  [[nodiscard]] std::uint32_t workers() const override {
    std::lock_guard hold(mutex_);
    return static_cast<std::uint32_t>(rings_.size());
  }
  void grow(std::uint32_t workers) override {
    std::lock_guard hold(mutex_);
    if (workers <= rings_.size()) return;
    rings_.resize(workers);
    is_up_.resize(workers);
    at_.resize(workers);
    held_.resize(workers);
  }
  void keep(std::uint32_t workers) override {
    std::lock_guard hold(mutex_);
    wanted_ = workers;
  }
  void retire(worker_id w) override {
    std::lock_guard hold(mutex_);
    told_to_leave_.push_back(w);
  }
  [[nodiscard]] std::uint32_t room() const override { return slots_; }
  block allocate(std::size_t size) override {
    std::lock_guard hold(mutex_);
    ++blocks_;
    return {new std::byte[size], size};
  }
  void free(block b) noexcept override {
    std::lock_guard hold(mutex_);
    --blocks_;
    delete[] b.data;
  }
  [[nodiscard]] std::uint64_t place_of(const block& b) const noexcept override {
    return reinterpret_cast<std::uintptr_t>(b.data);
  }
  void withdrawn() noexcept override { ++withdrawals_; }
  [[nodiscard]] std::optional<worker_process> process_of(worker_id w) const override {
    std::lock_guard hold(mutex_);
    return worker_process{1000 + static_cast<int>(w),
                          is_up_[w] ? worker_process::stage::up : worker_process::stage::starting};
  }
  void send(worker_id w, const task_message& m) override {
    std::lock_guard hold(mutex_);
    if (failing_send_ > 0 && --failing_send_ == 0) throw std::bad_alloc();
    rings_[w].push_back(
        {m.task, m.count, m.count, 0, {m.parcel.begin(), m.parcel.end()}, m.first, m.each});
    // One that has died without the engine's knowing leaves this, too.
    if (worker_lost* lost = loss_of(w)) leave_all(w, *lost, 0, false);
  }
  void flush() override {
    const auto f = [this] { return std::lock_guard(mutex_), at_flush_; }();
    if (f) f();
  }
  std::uint32_t recall(worker_id w, task_id task, std::uint32_t keep) override {
    std::lock_guard hold(mutex_);
    if (failing_recalls_) throw std::bad_alloc();
    sent* s = find(w, task);
    return s == nullptr ? ~std::uint32_t{0}
                        : s->kept = std::min(s->kept, std::max(keep, s->claimed));
  }
  [[nodiscard]] std::uint32_t claimed(worker_id w, task_id task) override {
    std::lock_guard hold(mutex_);
    sent* s = find(w, task);
    return s == nullptr ? ~std::uint32_t{0} : s->claimed;
  }
  [[nodiscard]] bool can_hold() const noexcept override { return true; }
  std::optional<at_hand> look(worker_id w) override {
    std::lock_guard hold(mutex_);
    if (rings_[w].empty()) return std::nullopt;
    const task_id at = rings_[w].front().task;
    if (at_[w].running && at_[w].task == at) return at_[w];
    return at_hand{at, 0, false, {}};
  }
  std::optional<at_hand> hold(worker_id w) override {
    {
      std::lock_guard hold(mutex_);
      ++holds_;
      if (refusing_holds_) return std::nullopt;
      held_[w] = true;
    }
    return look(w);
  }
  [[nodiscard]] bool holding(worker_id w) const override { return is_held(w); }
  void let_go(worker_id w) override {
    std::lock_guard hold(mutex_);
    held_[w] = false;
  }
  void ask(worker_id) override {
    std::lock_guard hold(mutex_);
    steps_.emplace_back("token");
  }
  bool signal(worker_id w, int number) override {
    std::lock_guard hold(mutex_);
    steps_.push_back("signal " + std::to_string(number));
    if (delaying_signals_)
      delayed_.push_back(w);
    else
      happen(signal_sent{w});
    return true;
  }
  bool kill(worker_id) override {
    std::lock_guard hold(mutex_);
    steps_.emplace_back("kill");
    return true;
  }
  void give(worker_id w, std::uint32_t serial, int descriptor) override {
    std::lock_guard hold(mutex_);
    given_.push_back({w, serial, descriptor});
  }
  void poll(std::vector<event>& to) override {
    std::lock_guard hold(mutex_);
    to.reserve(to.size() + events_.size());
    std::move(events_.begin(), events_.end(), std::back_inserter(to));
    events_.clear();
    if (killed_ ||
        (retiring_ && std::none_of(is_up_.begin(), is_up_.end(), [](bool b) { return b; })))
      gone_ = true;
  }
  void release(worker_id, std::uint32_t ticket) override {
    std::lock_guard hold(mutex_);
    replies_.erase(ticket);
  }
  void bury(worker_id w) override {
    std::lock_guard hold(mutex_);
    std::erase_if(replies_, [w](const auto& r) { return r.second.worker == w; });
    buried_.push_back(w);
  }
  void attend(bool) override {
    std::lock_guard hold(mutex_);
    attended_ = true;
  }
  void leave(bool quietly) override {
    std::lock_guard hold(mutex_);
    attended_ = quietly;
    changed_.notify_all();
  }
  void wait(clock::time_point deadline) override {
    std::unique_lock hold(mutex_);
    waiting_ = true;
    sleep(hold, deadline, [this] { return !events_.empty() || std::exchange(nudged_, false); });
    waiting_ = false;
  }
  void nudge() noexcept override {
    std::lock_guard hold(mutex_);
    nudged_ = true;
    changed_.notify_all();
  }
  woken_by wait_in_background(clock::time_point deadline) override {
    std::unique_lock hold(mutex_);
    in_background_ = true;
    background_deadline_ = deadline;
    bool woken = false;
    sleep(hold, deadline, [this, &woken] {
      return woken = (!attended_ && !events_.empty()) || std::exchange(interrupted_, false);
    });
    changed_.wait(hold, [this] { return !background_held_; });
    in_background_ = false;
    if (!attended_ && !events_.empty()) return woken_by::news;
    return woken ? woken_by::interrupt : woken_by::deadline;
  }
  void interrupt() noexcept override {
    std::lock_guard hold(mutex_);
    interrupted_ = true;
    ++interrupts_;
    changed_.notify_all();
  }
  void stand_by() override {}
  [[nodiscard]] clock::time_point next_deadline() const override {
    std::lock_guard hold(mutex_);
    return own_deadline_;
  }
  void retire_all() override {
    {
      std::lock_guard hold(mutex_);
      retiring_ = true;
    }
    for (worker_id w = 0; w < rings_.size(); ++w) lose(w, 0, false, true, 0);
  }
  void kill_all() noexcept override {
    std::lock_guard hold(mutex_);
    killed_ = true;
    changed_.notify_all();
    nudged_ = true;
  }
  [[nodiscard]] bool gone() const override { return std::lock_guard(mutex_), gone_; }

 private:
  struct reply {
    worker_id worker;
    std::vector<std::byte> bytes;
  };
  template <class Event>
  void happen(Event e) {  // under mutex_
    events_.emplace_back(std::in_place_type<Event>, std::move(e));
    changed_.notify_all();
  }
  template <class Ready>
  void sleep(std::unique_lock<std::mutex>& hold, clock::time_point deadline, Ready ready) {
    if (deadline == clock::time_point::max())
      changed_.wait(hold, ready);
    else
      changed_.wait_until(hold, deadline, ready);
  }
  sent* find(worker_id w, task_id task) {
    for (sent& s : rings_[w])
      if (s.task == task) return &s;
    return nullptr;
  }
  // The reply's bytes live until they are released, and a sanitizer sees who reads them later.
  task_reply reply_to(worker_id w, const sent& s, std::uint32_t done) {
    std::uint32_t ticket = tickets_++;
    reply& mine = replies_[ticket] = {w, std::vector<std::byte>(16, std::byte{1})};
    return {w,
            ticket,
            s.task,
            s.count,
            std::min(done, s.kept),
            mine.bytes,
            nanoseconds_,
            1000 + static_cast<int>(w)};
  }
  void answer(worker_id w, std::uint32_t done, bool retires = false) {
    std::lock_guard hold(mutex_);
    if (rings_[w].empty()) return;  // it has left since
    sent s = std::move(rings_[w].front());
    rings_[w].pop_front();
    at_[w] = {};
    happen(task_finished{reply_to(w, s, done), retires});
  }
  worker_lost* loss_of(worker_id w) {
    for (event& e : events_)
      if (auto* lost = std::get_if<worker_lost>(&e); lost != nullptr && lost->worker == w)
        return lost;
    return nullptr;
  }
  void leave_all(worker_id w, worker_lost& lost, std::uint32_t done, bool started) {
    for (const sent& s : rings_[w]) {
      bool first = lost.left.empty();
      task_reply r = reply_to(w, s, first ? done : 0);
      lost.left.push_back({r, first && started && r.done < s.kept});
    }
    rings_[w].clear();
  }
  void lose(worker_id w, std::uint32_t done, bool started, bool retired, int status) {
    std::lock_guard hold(mutex_);
    if (!is_up_[w]) return;
    is_up_[w] = false;
    worker_lost lost{w, {1000 + static_cast<int>(w), status}, retired, {}};
    leave_all(w, lost, done, started);
    at_[w] = {};
    held_[w] = false;
    happen(std::move(lost));
  }

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::deque<sent>> rings_;
  std::vector<bool> is_up_;
  std::vector<at_hand> at_;
  std::vector<bool> held_;
  std::vector<std::string> steps_;
  std::vector<gift> given_;
  bool refusing_holds_ = false;
  int holds_ = 0;
  bool delaying_signals_ = false;
  std::vector<worker_id> delayed_;
  std::uint32_t wanted_;
  std::vector<worker_id> told_to_leave_;
  std::uint32_t slots_;
  std::vector<event> events_;
  std::map<std::uint32_t, reply> replies_;  // by ticket
  std::vector<reply> parts_;                // need not be released
  std::vector<worker_id> buried_;
  std::uint32_t tickets_ = 0;
  std::size_t blocks_ = 0;
  std::atomic<std::size_t> withdrawals_{0};
  std::uint64_t nanoseconds_ = 0;
  bool failing_recalls_ = false;
  int failing_send_ = 0;
  clock::time_point own_deadline_ = clock::time_point::max();
  clock::time_point background_deadline_ = clock::time_point::min();
  std::function<void()> at_flush_;
  bool attended_ = false, waiting_ = false, nudged_ = false;
  bool in_background_ = false, background_held_ = false, interrupted_ = false;
  int interrupts_ = 0;
  bool retiring_ = false, killed_ = false, gone_ = false;
};

}  // namespace procpool::core
