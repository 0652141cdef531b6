// SPDX-License-Identifier: MIT
// The parent's half of a channel, called while a worker writes over all it can write to: each
// answer lies in the window and is of no more than was sent, and everything comes to an end.
#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <optional>
#include <span>
#include <vector>

#include "channel_fixture.h"
#include "input.h"
#include "shm/crash.h"

namespace procpool::shm {
namespace {

using fuzz::input;
using fuzz::look;
using fuzz::require;

constexpr std::size_t results_size = 16 << 10;

class scene {
 public:
  explicit scene(input& in) : in_(in) { parent_.prepare(true); }

  void step() {
    if (in_.below(2) == 0)
      overwrite();
    else
      call();
    require(parent_.unanswered() <= ring_slots, "no more is unanswered than there are slots");
    require(parent_.room() <= ring_slots, "no more is free than there are slots");
    require(!refused_ || parent_.corrupt(), "a worker stays corrupt");
    refused_ = parent_.corrupt();
  }

  /// The worker is dead.
  void bury() {
    while (const auto a = parent_.read()) check(*a);
    const std::uint32_t unanswered = parent_.unanswered();
    std::uint32_t left = 0;
    while (const auto a = parent_.salvage()) {
      check(*a);
      ++left;
    }
    require(left == unanswered, "each task that was not answered is accounted for");
    const crash_report report = read(memory_.own().last);
    require(report.stack.size() <= std::size(memory_.own().last.stack), "a stack fits its room");
    require(report.type.size() <= sizeof memory_.own().last.type, "a type fits its room");
    require(report.text.size() <= sizeof memory_.own().last.text, "a text fits its room");
    require(read(memory_.own().printed).size() <= sizeof memory_.own().printed.bytes,
            "what was printed fits its room");
  }

 private:
  // ---- the worker

  void overwrite() {
    const std::uint32_t index = parent_.first() + in_.below(4);
    window& own = memory_.own();
    reply_slot& r = own.replies[index % ring_slots];
    std::atomic<std::uint64_t>& word = own.tasks[index % ring_slots].word;
    switch (in_.below(12)) {
      case 0:
        return r.word.store(lap_of(index));
      case 1:
        return r.word.store(in_.number<std::uint16_t>() << 16 | lap_of(index));
      case 2:
        return r.progress.store(2 * in_.below(64) + in_.below(2));
      case 3:
        return r.progress.store(in_.number<std::uint32_t>());
      case 4:
        return r.written.store(in_.number<std::uint64_t>());
      case 5:
        return r.written.store(in_.number<std::uint16_t>());
      case 6:
        return r.place.store(4096 * in_.below(8));
      case 7:
        return r.place.store(in_.number<std::uint64_t>());
      case 8:
        r.ending = in_.below(4);
        r.nanoseconds = in_.number<std::uint64_t>();
        return;
      case 9:
        return word.store(task_word{lap_of(index), in_.below(64), in_.below(64)}.bits());
      case 10:
        return word.store(in_.number<std::uint64_t>());
      default: {
        // Anything anywhere.
        std::array<std::byte, 64> bytes{};
        const std::size_t size = in_.below(bytes.size() + 1);
        const std::size_t at = in_.number<std::uint32_t>() % (results_at + results_size - size);
        in_.fill(bytes.data(), size);
        std::memcpy(reinterpret_cast<std::byte*>(&own) + at, bytes.data(), size);
      }
    }
  }

  // ---- the parent

  void call() {
    switch (in_.below(12)) {
      case 0:
      case 1:
        return send();
      case 2:
      case 3:
      case 4:
        return read_one();
      case 5:
        return take_back();
      case 6:
        return release();
      case 7:
        return look(inside(parent_.failure()));
      case 9:
      case 10:
        return stop();
      case 8:
        require(parent_.state() <= worker_state::failed, "a state is one of three");
        return parent_.wake();
      default:
        bury();
        answered_.clear();
        parent_.prepare(in_.below(8) != 0);
        refused_ = false;
        require(!parent_.corrupt(), "a new worker has written nothing yet");
        require(parent_.unanswered() == 0, "a new worker was sent nothing yet");
    }
  }

  void send() {
    if (parent_.room() == 0) return;
    const std::uint32_t index = parent_.end();
    const std::uint32_t count = in_.below(64);
    kept_[index % ring_slots] = count;
    wishes_[index % ring_slots] = 0;
    if (count == 0) return parent_.send_leave();
    message m = message_of(count);
    m.attached = count % 4;
    wishes_[index % ring_slots] = 2 * m.attached;
    require(parent_.send(m) == index, "tasks go in order");
  }

  void hear() {
    const auto w = parent_.wish();
    if (!w) return;
    require(!refused_, "nothing is given to a corrupt worker");
    require(w->index - parent_.first() < parent_.unanswered(), "what it is for was sent");
    require(wishes_[w->index % ring_slots]-- != 0, "nobody wishes without end");
  }

  void read_one() {
    const std::uint32_t expected = parent_.first();
    const auto a = parent_.read();
    if (!a) return hear();
    require(!refused_, "nothing is believed of a corrupt worker");
    require(a->index == expected, "answers come in order");
    check(*a);
    require(!a->started, "an answer is of items that have ended");
    require(a->ending != reply_ending::whole || a->done == kept_[a->index % ring_slots],
            "all that was kept is done");
    answered_.push_back(a->index);
  }

  void take_back() {
    if (parent_.unanswered() == 0) return;
    const std::uint32_t index = parent_.first() + in_.below(256) % parent_.unanswered();
    std::uint32_t& now = kept_[index % ring_slots];
    require(parent_.claimed(index) <= now, "no more is claimed than was kept");
    const std::uint32_t keep = in_.below(64);
    const std::uint32_t kept = parent_.take_back(index, keep);
    require(kept <= now && kept >= std::min(keep, now), "what is taken back is what can be");
    now = kept;
  }

  void stop() {
    std::optional<at_hand> at;
    switch (in_.below(4)) {
      case 0:
        at = parent_.close_gate();
        break;
      case 1:
        return parent_.open_gate();
      case 2:
        if (parent_.gate_is_closed()) parent_.ask();
        return;
      default:
        at = parent_.look();
    }
    if (!at) return;
    require(at->index - parent_.first() < parent_.unanswered(), "what is at hand was sent");
    const std::uint32_t kept = kept_[at->index % ring_slots];
    require(at->item + (at->running ? 1U : 0U) <= kept, "what runs was kept");
  }

  void release() {
    if (answered_.empty()) return;
    const auto one = answered_.begin() + in_.below(256) % answered_.size();
    parent_.release(*one);
    answered_.erase(one);
  }

  void check(const answer& a) {
    const std::uint32_t kept = kept_[a.index % ring_slots];
    require(a.done + (a.started ? 1U : 0U) <= kept, "no more is done than was kept");
    require(a.nanoseconds <= std::uint64_t{1} << 51, "no task takes a month");
    look(inside(a.bytes));
  }
  std::span<const std::byte> inside(std::span<const std::byte> bytes) const {
    require(memory_.contains(bytes), "bytes lie in the window");
    return bytes;
  }

  input& in_;
  channel_memory memory_{results_size};
  parent_half parent_ = memory_.parent(in_.number<std::uint32_t>());
  std::array<std::uint32_t, ring_slots> kept_{};  // items that stay with the worker
  std::array<std::uint32_t, ring_slots> wishes_{};
  std::vector<std::uint32_t> answered_;  // and not released
  bool refused_ = false;
};

}  // namespace
}  // namespace procpool::shm

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  procpool::fuzz::input in(data, size);
  procpool::shm::scene s(in);
  while (!in.empty()) s.step();
  s.bury();
  return 0;
}
