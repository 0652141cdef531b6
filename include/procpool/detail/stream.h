// SPDX-License-Identifier: MIT
// imap: a window over the input. So many items are taken from it and not yet yielded, in chunks
// that are calls of their own; results come chunk by chunk, in order or as they finish.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <deque>
#include <memory>
#include <optional>
#include <tuple>
#include <utility>
#include <vector>

#include "procpool/detail/bound.h"
#include "procpool/detail/engine.h"
#include "procpool/detail/input.h"
#include "procpool/detail/results.h"
#include "procpool/options.h"
#include "procpool/result.h"

namespace procpool::detail {

/// The parts of a stream that know no callable.
template <class R>
class stream : public stream_state<R> {
 public:
  std::optional<outcome<R>> next(engine::clock::time_point deadline) override {
    for (;;) {
      if (at_ < current_.size()) {
        if (room() >= chunk_) take_chunk();
        --outstanding_;
        return std::move(current_[at_++]);
      }
      current_.clear();
      at_ = 0;
      while (!some_ready() && room() > 0 && take_chunk()) {
      }
      if (!open_next(deadline)) return std::nullopt;
    }
  }

 protected:
  stream(std::shared_ptr<engine> e, const task_options& options, bool ordered)
      : engine_(std::move(e)),
        options_(options),
        until_(call_end(options)),
        chunksize_(options.chunksize),
        buffersize_(options.buffersize),
        ordered_(ordered),
        workers_(static_cast<std::size_t>(engine_->processes())) {
    learn(0);
  }
  ~stream() override {
    for (auto& p : pending_)
      if (p.call) engine_->abandon(*p.call);
    for (auto& call : running_) engine_->abandon(*call);
  }

  /// A derived stream's constructor ends with this: the first items are on their way when imap
  /// returns. An input that takes its time is left to next() as soon as there is something to
  /// yield. What the pool takes does not count, unless it runs the items here: how much is read of
  /// a short input must not depend on how busy the machine is.
  void start() {
    constexpr std::chrono::milliseconds enough(50);
    const bool all_counts = engine_->caller_runs();
    const auto began = engine::clock::now();
    starts_ = true;
    while (room() > 0 && take_chunk()) {
      const auto took = all_counts ? engine::clock::now() - began : input_took_;
      if (took > enough && some_ready()) break;
    }
    starts_ = false;
    // A pool that takes nothing says so in the call.
    if (refused_ && taken_ == 1) std::rethrow_exception(pending_.front().error);
  }

  /// Submits one chunk of at most `most` items; returns how many. The source says what went wrong.
  virtual std::size_t submit(const std::shared_ptr<many<R>>& call, const call_options& options) = 0;
  [[nodiscard]] virtual const resumable& input() const = 0;

 private:
  struct entry {
    std::shared_ptr<many<R>> call;  // or null:
    std::exception_ptr error;       // what the input gave instead of an item
  };

  [[nodiscard]] std::size_t room() const noexcept {
    if (ended_) return 0;
    std::size_t window = buffersize_ != 0 ? buffersize_ : ahead_ * workers_ * chunk_;
    return window > outstanding_ ? window - outstanding_ : 0;
  }

  /// Chunks of about 100 µs of work, unless told otherwise; never so large that a given window
  /// feeds only some of the workers.
  void learn(std::uint64_t nanoseconds_an_item) {
    constexpr std::uint64_t worth = 100'000;
    constexpr std::size_t most = 4096;
    std::size_t wanted = chunksize_;
    if (wanted == 0) {
      std::size_t good = nanoseconds_an_item == 0
                             ? 1
                             : static_cast<std::size_t>(worth / (nanoseconds_an_item + 1) + 1);
      wanted = std::min({good, chunk_ * 2, most});
      if (buffersize_ != 0) wanted = std::min(wanted, buffersize_ / (2 * workers_));
    }
    if (buffersize_ != 0) wanted = std::min(wanted, buffersize_);
    chunk_ = std::max<std::size_t>(wanted, 1);
    if (chunksize_ == 0) return;
    // Then there are more of them, when they are small; and more of single items, which go
    // together.
    constexpr std::size_t least_ahead = 4;
    const std::size_t most_ahead = chunk_ == 1 ? 32 : 16;
    const std::size_t work = nanoseconds_an_item * chunk_;
    ahead_ =
        std::clamp(work == 0 ? 0 : worth / work, least_ahead, std::min(2 * ahead_, most_ahead));
  }

  /// Reads one chunk of input and submits it. False: the input has ended.
  bool take_chunk() {
    auto call = std::make_shared<many<R>>();
    if (!ordered_) call->gather_in = &inbox_;
    std::size_t want = std::min(chunk_, room());
    call_options options{.chunksize = want,
                         .one_chunk = true,
                         .bounded = false,
                         .place = taken_,
                         .limits = &options_,
                         .until = until_};
    std::size_t n = 0;
    try {
      n = submit(call, options);
    } catch (...) {  // the pool took none of it: closed, or worse
      caught_ = std::current_exception();
      refused_ = true;
    }
    outstanding_ += n;
    taken_ += n;
    if (n != 0) {
      if (ordered_)
        pending_.push_back({call, nullptr});
      else
        running_.push_back(call);
    }
    // One item that cannot be encoded is an outcome like any other; an input that throws is at its
    // end.
    if (caught_) {
      ++outstanding_;
      ++taken_;
      pending_.push_back({nullptr, std::exchange(caught_, nullptr)});
      ended_ = refused_ || !input().item_failed();
    } else {
      ended_ = n < want;
    }
    return !ended_;
  }

 protected:
  /// Reads from the source, keeping what it throws for its place in the results.
  class guard final : public source {
   public:
    guard(stream& owner, resumable& from) : owner_(owner), from_(from) {}
    void head(writer& out) override { from_.head(out); }
    std::size_t encode(writer& out, std::size_t most) override {
      if (!owner_.starts_) return read(out, most);
      const auto began = engine::clock::now();
      const std::size_t n = read(out, most);
      owner_.input_took_ += engine::clock::now() - began;
      return n;
    }
    [[nodiscard]] std::size_t expected() const override { return unknown; }

   private:
    std::size_t read(writer& out, std::size_t most) {
      try {
        return from_.encode(out, most);
      } catch (...) {
        owner_.caught_ = std::current_exception();
        return from_.appended();
      }
    }

    stream& owner_;
    resumable& from_;
  };

 private:
  [[nodiscard]] bool some_ready() const {
    if (!pending_.empty()) return !pending_.front().call || pending_.front().call->ready();
    return !running_.empty() && inbox_.ready();
  }

  /// Fills current_ with the next chunk's outcomes. False: nothing will come any more.
  bool open_next(engine::clock::time_point deadline) {
    if (pending_.empty() && running_.empty()) return false;
    if (pending_.empty()) {  // unordered
      if (!engine_->wait(inbox_, deadline)) throw timeout_error();
      std::vector<std::shared_ptr<batch>> finished;
      engine_->collect(inbox_, finished);
      for (auto& f : finished) {
        auto at = std::find(running_.begin(), running_.end(), f);
        if (at == running_.end()) continue;  // it ended as its submission failed: told already
        pending_.push_back({std::move(*at), nullptr});
        running_.erase(at);
      }
    }
    entry& e = pending_.front();
    if (e.call && !engine_->wait(*e.call, deadline)) throw timeout_error();
    entry next = std::move(e);
    pending_.pop_front();
    if (!next.call) {
      current_.push_back(outcome<R>(std::move(next.error)));
      return true;
    }
    if (next.call->size() != 0) learn(next.call->nanoseconds() / next.call->size());
    current_ = next.call->take_outcomes();
    return true;
  }

  std::shared_ptr<engine> engine_;
  task_options options_;
  engine::clock::time_point until_;
  std::size_t chunksize_;
  std::size_t buffersize_;
  bool ordered_;
  std::size_t workers_;
  std::size_t chunk_ = 1;
  std::size_t ahead_ = 4;                 // chunks for each worker
  std::size_t taken_ = 0;                 // from the input
  std::size_t outstanding_ = 0;           // of those, not yielded
  bool ended_ = false;                    // the input
  bool refused_ = false;                  // the pool takes no more of it
  bool starts_ = false;                   // in start()
  engine::clock::duration input_took_{};  // there
  std::exception_ptr caught_;
  inbox inbox_;
  std::deque<entry> pending_;                      // to be yielded from, in this order
  std::vector<std::shared_ptr<many<R>>> running_;  // unordered: not finished
  std::vector<outcome<R>> current_;
  std::size_t at_ = 0;

 protected:
  engine& pool() noexcept { return *engine_; }
};

/// Keeps a range: a reference to the user's, or the temporary itself.
template <class R>
struct kept {
  R range;
  std::remove_reference_t<R>& get() { return range; }
};

/// Hidden as `I` is: g++ warns of a field's type that is less visible than the class.
template <class I, class F, class... Rs>
class [[gnu::visibility("hidden")]] typed_stream final : public stream<typename I::result> {
  using base = stream<typename I::result>;

 public:
  typed_stream(std::shared_ptr<engine> e, const task_options& options, bool ordered, F f,
               Rs&&... rs)
      : base(std::move(e), options, ordered),
        f_(std::move(f)),
        ranges_(kept<Rs>{std::forward<Rs>(rs)}...),
        items_(std::apply([&](auto&... k) { return items_type(f_, k.get()...); }, ranges_)) {
    base::start();
  }

 private:
  using items_type = items<I, false, F, types<Rs...>, std::remove_reference_t<Rs>...>;

  std::size_t submit(const std::shared_ptr<many<typename I::result>>& call,
                     const call_options& options) override {
    typename base::guard guarded(*this, items_);
    call_options with_state = options;
    with_state.state = state_of(f_);
    return base::pool().submit(call, I::entry, guarded, with_state);
  }
  [[nodiscard]] const resumable& input() const override { return items_; }

  F f_;
  std::tuple<kept<Rs>...> ranges_;
  items_type items_;
};

}  // namespace procpool::detail
