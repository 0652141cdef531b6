// SPDX-License-Identifier: MIT
// The loop: what the backend tells goes to the scheduler, what the scheduler decides goes to the
// backend, what workers answered goes to the batch. One lock guards it all; it is never held while
// user code runs.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <exception>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include "core/backend.h"
#include "core/bundle.h"
#include "core/burst.h"
#include "core/ledger.h"
#include "core/parcel.h"
#include "core/publications.h"
#include "core/publish.h"
#include "core/scheduler.h"
#include "core/stopper.h"
#include "procpool/detail/engine.h"
#include "procpool/options.h"
#include "procpool/stats.h"

namespace procpool::detail {

/// A thread in engine::wait.
struct waiter {
  std::condition_variable woken;
};

}  // namespace procpool::detail

namespace procpool::core {

/// Throw std::invalid_argument.
void check(const stop_steps& s);
void check_duration(std::chrono::nanoseconds d, const char* name);
/// No longer than what can be added to any time: a century.
std::chrono::nanoseconds within_reason(std::chrono::nanoseconds d) noexcept;
stop_steps within_reason(stop_steps s) noexcept;

/// The exception for a pool that broke: a new one each time, if there is memory for one.
std::exception_ptr why(const broken& b) noexcept;

struct engine_options {
  int processes = 1;
  /// How many of them can run at once. 0: base::usable_cpus().
  int cpus = 0;
  std::uint32_t quota = 0;
  /// No background thread: the submitting thread runs its tasks before submit() returns.
  bool caller_runs = false;
  /// How items are stopped whose call does not say.
  procpool::stop_steps stop_steps = {};
  std::chrono::nanoseconds idle_timeout{0};
  std::uint32_t min_processes = 0;
  std::chrono::nanoseconds max_worker_age{0};
  /// As pool_options has them; 0: no bound.
  std::size_t max_pending = 0;
  std::size_t max_pending_bytes = 0;
  /// Without a call for so long a burst is over.
  std::chrono::microseconds burst_pause = burst::usual_pause;
  /// pool_options::on_unobserved_error.
  std::function<void(std::exception_ptr)> on_unobserved;
  /// True while this is the process that made the engine.
  std::function<bool()> own_process;
};

class engine final : public detail::engine, public std::enable_shared_from_this<engine> {
 public:
  engine(std::unique_ptr<backend> b, engine_options options);
  ~engine() override;
  /// Starts the background thread. Throws std::system_error.
  void start();

  std::size_t submit(const std::shared_ptr<detail::batch>& call, const detail::entry_point& entry,
                     detail::source& input, const detail::call_options& options) override;
  std::size_t run(const std::shared_ptr<detail::batch>& call, const detail::entry_point& entry,
                  detail::source& input, const detail::call_options& options) override;
  bool wait(detail::completion& what, clock::time_point deadline) override;
  void check_wait() const override;
  detail::watch_state watch(detail::watched& what) override;
  void unwatch(detail::watched& what) noexcept override;
  void then(detail::completion& what, std::unique_ptr<detail::continuation> next) override;
  [[nodiscard]] bool reports_unobserved() const noexcept override;
  void drop(detail::completion& what, std::unique_ptr<detail::continuation> report) override;
  void unobserved(const std::exception_ptr& error) const noexcept override;
  void complete(detail::completion& what) override;
  bool cancel(detail::batch& call) override;
  bool started(detail::batch& call) override;
  void abandon(detail::batch& call) override;
  void collect(detail::inbox& box, std::vector<std::shared_ptr<detail::batch>>& to) override;
  std::shared_ptr<const detail::published> publish(const detail::published_writer& write,
                                                   std::uint64_t type) override;
  void keep(std::shared_ptr<const detail::published> value) override;
  void withdraw(const detail::published_name& name) override;
  void close() override;
  void terminate() override;
  bool join(clock::time_point deadline) override;
  void shut_down(bool now) noexcept override;
  [[nodiscard]] int processes() const override { return static_cast<int>(most_.load()); }
  [[nodiscard]] bool caller_runs() const noexcept override { return options_.caller_runs; }
  void resize(int processes) override;
  [[nodiscard]] std::string to_string() const override;
  [[nodiscard]] pool_stats stats() const override;
  [[nodiscard]] std::vector<worker_info> workers() const override;

 private:
  /// The engine's lock. Whoever lets go of it then lets go of the batches that nobody else may want
  /// any more: what they hold is the user's, destructors included.
  class guard : public std::unique_lock<std::mutex> {
   public:
    explicit guard(const engine& owner) : unique_lock(owner.mutex_), owner_(owner) {}
    guard(const engine& owner, std::defer_lock_t later) noexcept
        : unique_lock(owner.mutex_, later), owner_(owner) {}
    guard(const guard&) = delete;
    guard& operator=(const guard&) = delete;
    ~guard() {
      if (owns_lock()) unlock();
    }
    void unlock() {
      if (owner_.settled_)
        end_settled();
      else
        unique_lock::unlock();
    }

   private:
    void end_settled();
    const engine& owner_;
  };
  enum class state { running, closed, terminated, broken };

  /// What an item failed by, as its retries see it.
  enum class mishap { none, death, timeout };
  /// Of an item.
  struct failed_runs {
    int count = 0;
    std::exception_ptr last;  // the ones before nested in it
  };
  /// What a call has that most calls have not.
  struct call_limits {
    task_options said;
    clock::time_point until = never;
    std::map<std::size_t, failed_runs> failed;  // items that are tried again
  };
  /// Why what has not started of a call never will.
  enum class call_end { none, cancelled, deadline };

  struct call_record {
    std::shared_ptr<detail::batch> batch;
    // Instead: calls of one item each that were sent together, in order; null once they have their
    // outcome, or are on the way to it: that is known until no worker has any of them.
    std::vector<std::shared_ptr<detail::batch>> members;
    std::vector<std::size_t> ended;  // members that were cancelled after a worker had claimed them
    const detail::entry_point* entry = nullptr;
    std::size_t items = 0;      // so far
    std::size_t remaining = 0;  // of those, without their outcome
    std::size_t place = 0;      // of the first one in the user's input
    bool at_one_place = false;  // all its items have that one
    bool open = false;          // submit is still adding to it
    bool fail_fast = false;
    bool bounded = false;  // its items take room
    bool dropped = false;  // nobody wants the results
    bool settled = false;  // but a worker may still have a task of it
    call_end end = call_end::none;
    std::shared_ptr<call_limits> limits;  // null: none

    [[nodiscard]] bool together() const noexcept { return !members.empty(); }
    [[nodiscard]] bool alive() const noexcept { return entry != nullptr && !settled; }
  };
  /// Outcomes on their way to a batch: of items that ran, then perhaps of the one that ended its
  /// worker.
  struct delivery {
    call_id call;
    std::shared_ptr<detail::batch> batch;
    std::vector<std::shared_ptr<detail::batch>> members;  // instead: of the items with an outcome
    detail::reply reply;
    std::exception_ptr error;  // of item first + done; the batch's once it has been told
    std::size_t outcomes = 0;  // items that have theirs by this
    bool dropped = false;
    std::size_t failed = 0;
    worker_id worker = 0;  // whose memory the reply lies in
    bool answered = true;  // its slot is to be released; else the worker is gone
    std::uint32_t ticket = 0;
    bool told = false;  // the batch has been
    bool accounted = false;
  };
  /// What one step takes in, kept from step to step for the room it has.
  struct intake {
    static constexpr std::size_t most_kept = 256;  // a burst's is not kept for ever
    std::vector<event> events;
    std::vector<delivery> deliveries;
  };
  /// A worker's place is filled again only when nobody reads from it any more.
  struct grave {
    std::uint32_t readers = 0;
    bool dug = false;  // the worker is gone
  };

  /// Some items of a call, encoded.
  struct encoded {
    explicit encoded(backend& owner) noexcept : bytes(owner) {}
    parcel bytes;
    std::size_t head = 0;  // bytes before the first item
    std::size_t items = 0;
    bool ended = false;  // the input has no more
  };
  /// A parcel's place in the line for room, while its submitter waits; see room.cc. Lives under the
  /// lock. Room that was kept for it is free again when it goes: the parcel is queued then, and
  /// counted, or never will be.
  class line_place final : public detail::completion {
   public:
    line_place(engine& owner, guard& held) noexcept : owner_(owner), held_(held) {}
    ~line_place();

   private:
    friend class engine;
    engine& owner_;
    guard& held_;
    std::optional<call_id> call_;  // nothing: not opened yet
    std::size_t items_ = 0;        // 0: it never stood in line
    std::size_t bytes_ = 0;
    bool kept_ = false;  // room is
  };

  // submit.cc: how a call gets in
  /// `waits`: the caller waits for it here. Returns how many items it has.
  std::size_t accept(const std::shared_ptr<detail::batch>& call, const detail::entry_point& entry,
                     detail::source& input, const detail::call_options& options, bool waits);
  /// The next two take the lock and leave it held.
  std::size_t accept_one(guard& l, const std::shared_ptr<detail::batch>& call,
                         const detail::entry_point& entry, detail::source& input,
                         const detail::call_options& options, bool waits);
  std::size_t accept_chunks(guard& l, const std::shared_ptr<detail::batch>& call,
                            const detail::entry_point& entry, detail::source& input,
                            const detail::call_options& options);
  call_id open_call(const std::shared_ptr<detail::batch>& call, const detail::entry_point& entry,
                    const detail::call_options& options);
  /// The same for a call that has been accepted.
  call_id open_record(const detail::entry_point& entry, bool one_turn = false);
  profile_id profile_of(const detail::entry_point& entry);
  encoded encode(detail::source& input, std::size_t most, const detail::call_options& options);
  std::size_t encode_all(call_id id, const std::shared_ptr<detail::batch>& call,
                         detail::source& input, const detail::call_options& options);
  [[nodiscard]] std::size_t chunk_for(call_id id, const detail::call_options& options,
                                      std::size_t expected, std::size_t so_far,
                                      std::size_t item_bytes) const;
  /// The next so many tasks that are made need no memory.
  void make_room_for_tasks(std::size_t n);
  void enqueue(call_id id, encoded& e, std::size_t first);
  /// Needs room for a task.
  void queue(call_id id, std::unique_ptr<parcel> bytes, std::size_t items,
             std::size_t first) noexcept;
  /// Opens a call of one chunk, under the lock that is left held, and queues it. 0: it is empty.
  std::size_t enqueue_one(guard& l, const std::shared_ptr<detail::batch>& call,
                          const detail::entry_point& entry, encoded& e,
                          const detail::call_options& options);

  // engine.cc: waiting, and what is asked of a call that is in
  void check_process() const;
  [[noreturn]] void refuse() const;
  bool wait_locked(guard& l, detail::completion& what, clock::time_point deadline);
  void make_ready(detail::completion& what) noexcept;
  void call_back(std::unique_ptr<detail::continuation> next) noexcept;
  /// Returns what is to run here and now, without the lock; or null.
  std::unique_ptr<detail::continuation> attach(detail::completion& what,
                                               std::unique_ptr<detail::continuation> next);
  void attend(bool woken);
  /// Lets another thread attend.
  void leave(clock::time_point now);
  void hand_over();
  void call_background() noexcept;
  /// While calls come in bursts: now and then takes in what has come back.
  void take_a_turn(guard& l, clock::time_point now, std::uint32_t calls);
  void not_from_callback() const;
  /// Of a call that waits or runs, by itself or with others.
  [[nodiscard]] std::optional<call_id> number_of(detail::batch& call) const noexcept;
  /// Nobody wants the results, or will know of them: what has not started never will.
  void drop_call(detail::batch& call) noexcept;

  // end.cc: close, terminate, join
  void close_locked();
  void stop_background() noexcept;
  /// Not terminated, not broken.
  [[nodiscard]] bool at_work() const noexcept {
    return state_ == state::running || state_ == state::closed;
  }

  // bundle.cc: calls that are sent together
  /// Puts a call to those that are. False: it goes by itself.
  bool gather(const std::shared_ptr<detail::batch>& call, const detail::entry_point& entry,
              const encoded& e, const detail::call_options& options);
  /// Queues those that have gathered, if any.
  void send_bundle();
  /// Moves the first members of a task that have no outcome yet, so many, to `to`, which has room.
  void take_members(task_id id, std::uint32_t from, std::uint32_t many,
                    std::vector<std::shared_ptr<detail::batch>>& to);
  /// How many of the task's items have been told.
  [[nodiscard]] std::uint32_t told_of(task_id id) const noexcept;
  void take_in_part(const task_reply& r, std::vector<delivery>& out);
  static void tell_members(delivery& d) noexcept;
  [[nodiscard]] task_id task_with(call_id id, std::size_t item) const noexcept;
  /// Fails a member that no worker has: it is the only one of its task, in the end.
  void fail_member(call_id id, std::size_t item, const std::exception_ptr& error);
  void fail_members(task_id id, const std::exception_ptr& error) noexcept;
  /// Cancels a member; false: it has ended, or can't be.
  bool end_member(call_id id, std::size_t item, clock::time_point now);
  /// What nobody wants any more does not start, if it has not.
  void drop_member(call_id id, std::size_t item);
  /// A worker has begun with a member that has not ended.
  [[nodiscard]] bool has_begun(call_id id, std::size_t item) const;
  /// The members cancelled meanwhile, of what has come back from a worker.
  void drop_ended(call_id id);
  [[nodiscard]] std::size_t place_of(call_id id, std::size_t item) const noexcept;

  // room.cc: max_pending and max_pending_bytes
  [[nodiscard]] bool bounded(const detail::call_options& options) const noexcept {
    return options.bounded && (options_.max_pending != 0 || options_.max_pending_bytes != 0);
  }
  [[nodiscard]] bool fits(std::size_t items, std::size_t bytes) const noexcept;
  /// Returns when there is room for `e`, which is to be queued before the lock is let go of; or
  /// when its call has ended, and it will be dropped.
  void await_room(guard& l, line_place& p, const encoded& e, std::optional<call_id> id,
                  const detail::call_options& options);
  /// Keeps room for the first in line, as many as fit, and wakes them.
  void let_in() noexcept;
  /// Sends some away from the line: what they wait for is not room any more.
  void dismiss(const std::function<bool(const line_place&)>& which);
  /// So many items of the call have their outcome.
  void have_outcomes(call_record& c, std::size_t items) noexcept {
    c.remaining -= items;
    if (c.bounded) pending_items_ -= items;
  }

  // loop.cc: what happens between backend, scheduler and batches
  /// True: something has happened.
  bool step(guard& l);
  bool step(guard& l, intake& taken);
  void break_down(std::vector<delivery>& deliveries, const std::exception_ptr& cause) noexcept;
  void drive(guard& l, const std::function<bool()>& done, clock::time_point deadline);
  void take_in(event& e, std::vector<delivery>& out, clock::time_point now);
  void give(const descriptor_wanted& e);
  void bury_if_unread(worker_id worker);
  void take_in_reply(const task_finished& e, std::vector<delivery>& out, clock::time_point now);
  void take_in_loss(worker_lost& e, std::vector<delivery>& out, clock::time_point now);
  /// Ends a worker's part in a task: `done` items are whole, the next one ended by `error` (null:
  /// did not run), what is behind runs elsewhere.
  void divide(const task_reply& r, std::uint32_t done, std::exception_ptr error, mishap what,
              bool answered, std::vector<delivery>& out, clock::time_point now);
  void account(delivery& d);
  void pump(clock::time_point now);
  void send(const scheduler::send& d);
  void take(const scheduler::take& d);
  void share_parcel(task_id from, task_id to) noexcept;
  /// One task fewer reads the parcel.
  void leave_parcel(parcel* p, bool with_items) noexcept;
  void forget(task_id id);
  void fail_task(task_id id, const std::exception_ptr& error);
  /// Takes back what a worker has not claimed from item `keep` on; returns how many stay with it.
  std::uint32_t recall(task_id id, std::uint32_t keep);
  /// Takes back all of a task that a worker holds; false: the worker has claimed some of it.
  bool take_back(task_id id);
  /// Takes back and fails every item of the call that has not been claimed; returns how many.
  std::size_t drop_unstarted(call_id id);
  /// The same for what came back of a call that had been dropped from before.
  void drop_if_stopped(call_id id);
  void fail_all_calls(const std::function<std::exception_ptr()>& error);
  void settle(call_id id);
  /// All of `b` has its outcome.
  void settle(std::shared_ptr<detail::batch> b) noexcept;
  void maybe_retire();
  void background();
  /// When a step has something to do though nothing happens; when somebody has to be awake.
  [[nodiscard]] clock::time_point work_due() const;
  [[nodiscard]] clock::time_point next_deadline() const;
  [[nodiscard]] bool comes_back(clock::time_point now) const;

  // limits.cc: stopping what runs, running again what failed
  [[nodiscard]] static bool is_limited(const detail::call_options& options) noexcept;
  void check_limits(const detail::call_options& options) const;
  void note_limits(call_id id, const detail::call_options& options);
  /// No limit of the call's any more.
  void forget_limits(call_id id);
  /// What is due by the clock.
  void keep_limits(clock::time_point now);
  [[nodiscard]] clock::time_point limits_due() const;
  [[nodiscard]] std::chrono::nanoseconds timeout_of(task_id id) const;
  /// Has the worker looked at in time for what it now holds.
  void watch_worker(worker_id worker, task_id task, clock::time_point now);
  void look_at(worker_id worker, clock::time_point now);
  /// Stops an item that has run past its time; false: it did not run any more.
  bool stop_late(worker_id worker, const at_hand& what, clock::time_point now);
  void take_steps(clock::time_point now);
  [[nodiscard]] stop_steps steps_of(call_id id) const;
  /// The worker has answered the task, or is gone: what it was being stopped at, if it was.
  std::optional<stopper::order> end_stop(worker_id worker, task_id task);
  void let_go(worker_id worker);
  /// Fails what of the call has not started, stops what runs; returns how many items that were.
  std::size_t end_call(call_id id, call_end why, clock::time_point now);
  [[nodiscard]] std::exception_ptr error_of_end(call_id id, std::size_t item) const;
  [[nodiscard]] std::exception_ptr error_of_stop(const stopper::order& o, call_id id,
                                                 std::size_t item, int pid) const;
  /// `error` with the item's earlier failures nested. True: it is to be tried again.
  bool to_be_retried(call_id id, std::size_t item, mishap what, std::exception_ptr& error);
  void try_again(task_id id, clock::time_point now);
  // insight.cc: what it tells of itself and its workers
  [[nodiscard]] worker_info describe(worker_id worker, const worker_process& process) const;
  [[nodiscard]] worker_state state_of(worker_id worker, worker_process::stage at) const;
  void describe_item(worker_id worker, worker_info& info) const;

  static mishap mishap_of(const stopper::order& o) noexcept {
    return o.why == stop_reason::timeout ? mishap::timeout : mishap::none;
  }

  // size.cc: how many workers there are
  /// Tells those to leave that are too many, have been idle for too long or are too old.
  void keep_size(clock::time_point now);
  void let_the_old_leave(clock::time_point now);
  void let_the_idle_leave(clock::time_point now);
  /// More workers, as far as there may be, when there is more to do than there are.
  void size_to_work();
  void retire(worker_id worker);
  [[nodiscard]] std::optional<worker_id> one_to_spare() const;
  /// Whoever sleeps longer is woken.
  void wake_by(clock::time_point due);

  engine_options options_;
  std::unique_ptr<backend> backend_;
  std::unique_ptr<std::thread> thread_;
  std::thread::id background_id_;

  mutable std::mutex mutex_;
  // Everything below is guarded by mutex_.
  mutable std::shared_ptr<detail::batch> settled_;  // the last of a list: see guard
  state state_ = state::running;
  // When broken: by lack of memory, unless the backend says why, as that is no time to write it.
  broken cause_{false, "procpool: the process that owns the pool ran out of memory", nullptr};
  bool retiring_ = false;
  bool stop_ = false;
  bool orphaned_ = false;  // the pool was destroyed by a callback: the thread ends by itself
  clock::time_point sleeping_until_ = never;  // whoever waits for the backend
  // The background thread; while it is awake, the least there is: it looks by itself. It reads this
  // without the lock, too, to see that it was put off: it never wants the lock in the middle of a
  // burst, where whoever had to give it up would have to wake it, over and over again.
  std::atomic<clock::time_point> background_until_ = clock::time_point::min();
  scheduler scheduler_;
  std::vector<call_record> calls_;  // by call_id
  std::vector<parcel*> parcels_;    // by task_id, of all that there is room for
  parcel* spent_ = nullptr;         // see leave_parcel
  intake kept_;                     // a step's within a step has room of its own
  bool kept_in_use_ = false;
  publications publications_;
  id_source ids_;
  std::vector<grave> graves_;           // by worker
  std::atomic<std::uint32_t> most_;     // workers that there may be; changed under the lock
  std::uint32_t target_;                // and that there shall be now
  clock::time_point size_due_ = never;  // when keep_size() has something to look at
  stopper stops_;
  ledger ledger_;
  std::set<std::pair<clock::time_point, call_id>> ends_;  // calls' deadlines
  std::multimap<clock::time_point, task_id> set_aside_;   // to be run again, when
  std::vector<clock::time_point> look_at_;                // by worker: when to look what it runs
  clock::time_point next_look_ = never;                   // no later than the first of those
  std::size_t pending_items_ = 0;  // of bounded calls, without their outcome; and kept room
  std::size_t pending_bytes_ = 0;  // of their parcels; and kept room
  std::deque<line_place*> line_;   // who waits for room, first come first
  std::size_t open_calls_ = 0;
  std::size_t reading_ = 0;  // deliveries under way: join() returns after their results are there
  std::unordered_map<const detail::entry_point*, profile_id> profiles_;
  std::thread::id driver_;  // who attends the backend
  burst burst_;
  bundle bundle_;
  bool quiet_ = false;  // whoever attended last left quietly: the background thread looks soon
  std::deque<detail::waiter*> waiters_;
  std::unique_ptr<detail::continuation> callbacks_;  // the first, which has the next
  detail::continuation* last_callback_ = nullptr;
  struct gone final : detail::completion {};
  gone gone_;
};

}  // namespace procpool::core
