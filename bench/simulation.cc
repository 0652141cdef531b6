// SPDX-License-Identifier: MIT
// The scheduler alone, in virtual time, with more workers than any machine has: what it costs for
// each item, and what it keeps in memory. Nothing runs; a worker's item ends when its turn comes.
#include <benchmark/benchmark.h>
#include <malloc.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <random>
#include <utility>
#include <variant>
#include <vector>

#include "core/scheduler.h"

namespace {

namespace core = procpool::core;
using std::chrono::nanoseconds;

/// A stream that keeps four items ahead for each worker, as imap does, each item a task of its own.
class farm {
 public:
  farm(std::uint32_t workers, nanoseconds cost)
      : scheduler_(workers, 255, 0, workers), window_(4 * std::size_t{workers}), cost_(cost) {
    call_ = scheduler_.open(scheduler_.add_profile());
    for (core::worker_id w = 0; w < workers; ++w) scheduler_.up(w, now_);
    read_on(window_);
  }

  /// One worker, whichever it is, ends an item; the next is read.
  void step() {
    end_one();
    read_on(window_);
  }
  /// The input has ended: idle workers take back what others have not begun.
  void end() {
    while (!at_work_.empty()) {
      end_one();
      decide();
    }
  }

 private:
  void read_on(std::size_t until) {
    while (scheduler_.items() < until) scheduler_.add(call_, read_++, 1);
    decide();
  }
  void decide() {
    while (const auto d = scheduler_.next(now_)) {
      if (const auto* sent = std::get_if<core::scheduler::send>(&*d)) {
        if (scheduler_.holds(sent->worker) == 1) at_work_.push_back(sent->worker);
      } else {
        const auto& t = std::get<core::scheduler::take>(*d);
        scheduler_.taken_back(t.task, t.may_have_started ? 1 : 0);
      }
    }
  }
  void end_one() {
    std::swap(at_work_[random_() % at_work_.size()], at_work_.back());
    const core::worker_id worker = at_work_.back();
    now_ += cost_ / at_work_.size();
    for (bool ran = false; !ran && scheduler_.holds(worker) != 0;) {
      const core::task_id t = scheduler_.oldest_held(worker);
      ran = scheduler_[t].count != 0;  // what was taken back is passed
      scheduler_.answered(t, scheduler_[t].count, cost_, now_);
      scheduler_.erase(t);
      scheduler_.released(worker);
    }
    if (scheduler_.holds(worker) == 0) at_work_.pop_back();
  }

  core::scheduler scheduler_;
  core::call_id call_ = 0;
  std::size_t read_ = 0;
  std::size_t window_;
  nanoseconds cost_;
  core::clock::time_point now_{std::chrono::seconds(1)};
  std::vector<core::worker_id> at_work_;
  std::minstd_rand random_;
};

std::size_t allocated() {
  const auto now = mallinfo2();
  return now.uordblks + now.hblkhd;
}

/// The state's iterations are the items. `grown`: bytes more than at the start, after all of them.
void schedule(benchmark::State& state) {
  const auto workers = static_cast<std::uint32_t>(state.range(0));
  const std::size_t before = allocated();
  farm f(workers, std::chrono::milliseconds(1));
  const std::size_t at_start = allocated();
  for (auto _ : state) f.step();
  const std::size_t at_end = allocated();
  state.SetItemsProcessed(state.iterations());
  state.counters["bytes/worker"] =
      static_cast<double>(at_end - before) / static_cast<double>(workers);
  state.counters["grown"] = static_cast<double>(at_end) - static_cast<double>(at_start);
}

/// From the end of the input on: each of the last items leaves a worker idle that asks the others.
void schedule_the_end(benchmark::State& state) {
  const auto workers = static_cast<std::uint32_t>(state.range(0));
  for (auto _ : state) {
    state.PauseTiming();
    farm f(workers, std::chrono::milliseconds(1));
    state.ResumeTiming();
    f.end();
  }
  state.SetItemsProcessed(state.iterations() * 4 * workers);
}

BENCHMARK(schedule)->ArgName("workers")->RangeMultiplier(10)->Range(1, 10'000);
// A long run, once: does anything grow with what has passed?
BENCHMARK(schedule)
    ->Name("schedule_100M")
    ->ArgName("workers")
    ->Arg(10'000)
    ->Iterations(100'000'000)
    ->Repetitions(1);
BENCHMARK(schedule_the_end)->ArgName("workers")->RangeMultiplier(10)->Range(1, 10'000);

}  // namespace
