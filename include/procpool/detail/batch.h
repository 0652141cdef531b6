// SPDX-License-Identifier: MIT
// A typed call with its types erased: what the compiled core knows of a user's call.
//
//   entry_point   the code that a worker runs for it
//   source        its input, item by item, as bytes (only while the submitting call lasts)
//   batch         its results: takes each worker's reply apart and keeps what came
//   task_run      one task as the entry point sees it, in the worker
//
// The typed side is made by invoke.h alone. Nothing here knows a user's type.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <span>
#include <typeinfo>
#include <utility>
#include <vector>

#include "procpool/detail/buffer.h"

namespace procpool::detail {

struct access;  // what the headers may reach of one another
class result_blocks;

// ---- in the worker ------------------------------------------------------------------------------

/// Where an item was when it threw.
enum class stage : std::uint32_t { decoding, calling, encoding };

/// A result that stays in the worker: what the initializer made, for the tasks behind it.
struct kept_result {
  std::shared_ptr<void> value;
  const std::type_info* type = nullptr;
};

/// One task in a worker: `count` items of a parcel, of which the parent may take some back until
/// they are claimed. A reply is `count` × stride bytes for results of fixed size, then records
/// (below). Made by the worker's link; used by the worker's only thread.
class task_run {
 public:
  task_run(const task_run&) = delete;
  task_run& operator=(const task_run&) = delete;

  [[nodiscard]] std::span<const std::byte> parcel() const noexcept { return parcel_; }
  [[nodiscard]] std::uint32_t first() const noexcept { return first_; }
  [[nodiscard]] std::uint32_t count() const noexcept { return count_; }
  [[nodiscard]] writer& out() noexcept { return *out_; }

  /// Claims items [from, to) of 0..count: they will run here and nowhere else. False: none is left.
  virtual bool claim(std::uint32_t& from, std::uint32_t& to) = 0;

  /// Brackets item k, decoding and encoding included: a death between the two blames this item.
  /// False: the parent has closed the gate; the item must not run, and the task ends before it.
  [[nodiscard]] bool starts(std::uint32_t k) noexcept {
    if (since_ != nullptr) note_time();
    progress_->store(2 * k + 1, std::memory_order_release);
    // No fence: whoever closes the gate makes this store seen, then looks (membarrier).
    std::atomic_signal_fence(std::memory_order_seq_cst);
    if (gate_->load(std::memory_order_acquire) == 0) [[likely]]
      return true;
    progress_->store(2 * k, std::memory_order_release);
    stopped_ = true;
    return false;
  }
  void finished(std::uint32_t k) noexcept {
    if (each_) [[unlikely]]
      return finished_call(k);
    note_finished(k);
  }
  /// In a handler: the exception at hand is item k's outcome. What was written since `before` is
  /// taken back. With too little memory to say so the outcome is std::bad_alloc; throws that when
  /// there is not even a reply to write to: the process must end, under the item.
  void fail(std::uint32_t k, stage where, std::size_t before);

  /// Of a call whose result is not sent: hands it to whoever wants it; else it is destroyed.
  void keep(kept_result r) noexcept {
    if (kept_ != nullptr) *kept_ = std::move(r);
  }
  /// starts() said no: the items from there on go back to the parent.
  [[nodiscard]] bool stopped() const noexcept { return stopped_; }
  /// Each item is a call of its own, whose caller is told as soon as it is finished.
  [[nodiscard]] bool told_of_each() const noexcept { return each_; }
  /// What comes before that; it must not throw.
  void before_telling(void (*what)()) noexcept { before_telling_ = what; }
  /// What starts() and finished() write: (it + 1) / 2 items have begun.
  [[nodiscard]] const std::atomic<std::uint32_t>& progress() const noexcept { return *progress_; }

 protected:
  task_run() = default;
  ~task_run() = default;
  /// An item that is a call of its own is finished.
  virtual void tell() noexcept {}

  std::span<const std::byte> parcel_;
  std::uint32_t first_ = 0;
  std::uint32_t count_ = 0;
  writer* out_ = nullptr;
  std::atomic<std::uint32_t>* progress_ = nullptr;
  std::atomic<std::uint64_t>* written_ = nullptr;
  const std::atomic<std::uint32_t>* gate_ = &always_open;
  std::atomic<std::uint64_t>* since_ = nullptr;  // null: nobody asks when an item began
  bool stopped_ = false;
  bool each_ = false;
  void (*before_telling_)() = nullptr;
  kept_result* kept_ = nullptr;

 private:
  static inline const std::atomic<std::uint32_t> always_open{0};
  void note_time() noexcept;
  void note_finished(std::uint32_t k) noexcept {
    // Release: who sees so many bytes sees where they are.
    written_->store(out_->size(), std::memory_order_release);
    progress_->store(2 * k + 2, std::memory_order_release);
  }
  /// The same, where its caller is told.
  void finished_call(std::uint32_t k) noexcept;
};

/// The code of one call shape. Constants with hidden visibility, so that each module has its own;
/// in another process found by (module, offset) and checked by both words before the jump.
struct entry_point {
  static constexpr std::uint64_t magic_value = 0x70726f63706f6f6cULL;
  std::uint64_t magic;
  std::uint64_t type;  ///< hash of the call shape's full type name
  void (*run)(task_run&);
  const char* name;  ///< of the callable's type
};

// ---- replies ------------------------------------------------------------------------------------

enum class record_kind : std::uint32_t { value, error };

/// One item's outcome behind the fixed part of a reply: this header, `size` bytes, padding to 16.
struct record_header {
  std::uint32_t index;  ///< in the task: 0..count
  record_kind kind;
  std::uint64_t size;
};
static_assert(sizeof(record_header) == 16);
inline constexpr std::size_t record_alignment = 16;

/// Starts item k's record; returns where it begins, for close_record once the payload is written.
inline std::size_t open_record(writer& out, std::uint32_t k, record_kind kind) {
  out.align(record_alignment);
  std::size_t at = out.size();
  record_header h{k, kind, 0};
  out.raw(&h, sizeof h);
  return at;
}
inline void close_record(writer& out, std::size_t at) {
  std::uint64_t size = out.size() - at - sizeof(record_header);
  std::memcpy(out.data() + at + offsetof(record_header, size), &size, sizeof size);
  out.align(record_alignment);
}

/// What came back for items [first, first + done) of a call: bytes from a worker, not yet believed.
struct reply {
  std::size_t first = 0;    ///< the call's item that is item 0 of the task
  std::uint32_t count = 0;  ///< items the fixed part has room for
  std::uint32_t done = 0;   ///< items that ran to their end
  std::uint32_t from = 0;   ///< of those have been told: 0 but where each item is a call
  std::span<const std::byte> bytes;
  std::uint64_t nanoseconds = 0;    ///< the worker was busy with them
  int pid = 0;                      ///< who wrote it
  result_blocks* blocks = nullptr;  ///< where vectors in it lie (vector_memory.h)
};

/// Walks the records of a reply, in order, each checked against the bytes that are left.
class record_reader {
 public:
  struct record {
    std::uint32_t index;
    record_kind kind;
    std::span<const std::byte> bytes;
  };
  record_reader(const reply& r, std::size_t stride);
  /// The reply's fixed part: done × stride bytes are results. Throws serialization_error when
  /// short.
  [[nodiscard]] const std::byte* fixed() const noexcept { return fixed_; }
  /// False: no more. Throws serialization_error when a record is not one, or out of order.
  bool next(record& r);

 private:
  const std::byte* fixed_;
  reader in_;
  std::uint32_t least_ = 0;
  std::uint32_t done_;
  std::uint32_t count_;
};

/// Rebuilds the exception that an error record holds. Never throws: a record that makes no sense
/// becomes a serialization_error, an unknown type a remote_error.
std::exception_ptr decode_error(std::span<const std::byte> bytes, int pid) noexcept;
/// `outer`, with `cause` nested in it.
std::exception_ptr nest(const serialization_error& outer, const std::exception_ptr& cause) noexcept;

// ---- in the parent ------------------------------------------------------------------------------

struct waiter;   // a thread in engine::wait
struct watched;  // a completion's place in a watch, see watch.h
class batch;

/// What happens after a completion: run once, on the pool's own thread.
class continuation {
 public:
  virtual ~continuation() = default;
  virtual void run() noexcept = 0;

 private:
  friend struct access;
  std::unique_ptr<continuation> next_;  // in the engine's line of those that are to run
};

/// Something a thread can wait for. `ready` turns true under the engine's lock and is read without.
class completion {
 public:
  completion() = default;
  completion(const completion&) = delete;
  completion& operator=(const completion&) = delete;
  [[nodiscard]] bool ready() const noexcept { return ready_.load(std::memory_order_acquire); }

 protected:
  ~completion() = default;

 private:
  friend struct access;
  std::atomic<bool> ready_{false};
  // Guarded by the engine's lock:
  waiter* waiter_ = nullptr;
  watched* watched_ = nullptr;  // the first; each knows the next
  std::unique_ptr<continuation> then_;
};

/// A result of whatever type, as whoever waits for it sees it.
class any_result {
 public:
  any_result() = default;
  any_result(const any_result&) = delete;
  any_result& operator=(const any_result&) = delete;
  virtual ~any_result() = default;

  virtual completion& done() noexcept = 0;
  /// Only when done().ready().
  [[nodiscard]] virtual bool failed() const noexcept = 0;
  /// As well, nobody has been given the error.
  [[nodiscard]] virtual bool unobserved() const noexcept { return failed(); }
  /// What it may be cancelled by; null when it cannot be.
  virtual batch* running() noexcept = 0;
};

/// Where finished batches gather for a stream that takes them as they come: ready while it holds
/// any.
class inbox : public completion {
 public:
  inbox() = default;
  ~inbox();

 private:
  friend struct access;
  std::shared_ptr<batch> finished_;  // the last, which has the one before; under the engine's lock
};

/// A call's results. The engine calls the virtual functions from one thread at a time, without its
/// lock except where said; a reader looks at the results only after ready().
class batch : public completion {
 public:
  virtual ~batch() = default;

  /// Items [0, total) may be delivered from now on. Before any of them is sent; may come again,
  /// growing.
  virtual void extend(std::size_t total) = 0;
  /// A task's outcome: decodes it, keeps values and errors. Returns how many items failed.
  virtual std::size_t deliver(const reply& r) noexcept = 0;
  /// Of calls that went in one task, each its item, all through one entry point: items
  /// [r.from, r.done) are the results of `calls`, in order.
  virtual std::size_t deliver_each(std::span<const std::shared_ptr<batch>> calls,
                                   const reply& r) noexcept = 0;
  /// Items [first, first + count), at least one, will have no reply: each fails with `error`. May
  /// be called under the engine's lock, and while another thread delivers other items.
  virtual void fail(std::size_t first, std::size_t count,
                    const std::exception_ptr& error) noexcept = 0;

  /// Set before the call is submitted: where to gather when finished.
  inbox* gather_in = nullptr;

 private:
  friend struct access;
  std::uint32_t call_ = 0;  // the engine's number for it, plus one; 0: it has none; or on_its_way
  std::uint32_t item_ = 0;  // its own in that call, of those that it went with
  std::shared_ptr<batch> settled_before_;  // in the engine's list of such, or in the inbox
};

/// What the compiled core may reach of the classes that users hold.
struct access {
  static std::atomic<bool>& ready(completion& c) noexcept { return c.ready_; }
  static waiter*& waiting(completion& c) noexcept { return c.waiter_; }
  static detail::watched*& watched(completion& c) noexcept { return c.watched_; }
  static std::unique_ptr<continuation>& then(completion& c) noexcept { return c.then_; }
  static std::unique_ptr<continuation>& next(continuation& c) noexcept { return c.next_; }
  static std::shared_ptr<batch>& finished(inbox& b) noexcept { return b.finished_; }
  /// One by one: a chain that ends itself would do so by recursion.
  static void end_chain(std::shared_ptr<batch> last) noexcept {
    while (last) last = std::move(last->settled_before_);
  }
  /// In place of a batch's number: it was sent with others, and its result is being read.
  static constexpr std::uint32_t on_its_way = ~std::uint32_t{0};
  /// batch: the engine's number for it, plus one; task: its encoded call.
  static std::uint32_t& call(batch& b) noexcept { return b.call_; }
  template <class T>
  static auto& call(T& t) noexcept {
    return t.call_;
  }
  static std::uint32_t& item(batch& b) noexcept { return b.item_; }
  static std::shared_ptr<batch>& settled_before(batch& b) noexcept { return b.settled_before_; }
  /// async_result: what it waits for, of which engine; bound: its state.
  template <class R>
  static auto& state(R& r) noexcept {
    return r.state_;
  }
  template <class R>
  static auto& engine(R& r) noexcept {
    return r.engine_;
  }
  template <class R>
  static bool cancelled(const R& r) noexcept {
    return r.cancelled_;
  }
  /// bound: what is to be called.
  template <class T>
  static auto& callable(T& t) noexcept {
    return t.f_;
  }
};

inline inbox::~inbox() { access::end_chain(std::move(finished_)); }

/// The input of a call while it is being submitted: the callable's state and the items, as bytes.
class source {
 public:
  /// Writes what stands at the head of every parcel: the callable's state.
  virtual void head(writer& out) = 0;
  /// Appends up to `most` items; returns how many. Fewer than `most`: the input has ended.
  /// Throws what the input or an item's codec throws, with `out` as it was after the last whole
  /// item.
  virtual std::size_t encode(writer& out, std::size_t most) = 0;
  /// Items to come, when the input can tell; a hint, never trusted.
  static constexpr std::size_t unknown = static_cast<std::size_t>(-1);
  [[nodiscard]] virtual std::size_t expected() const = 0;

 protected:
  ~source() = default;
};

/// A call encoded to be made later (an initializer): one item.
struct encoded_call {
  const entry_point* entry = nullptr;
  std::vector<std::byte> bytes;
};

}  // namespace procpool::detail
