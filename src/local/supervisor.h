// SPDX-License-Identifier: MIT
// Keeps so many of the pool's places filled as there shall be workers: launch, watch, retire,
// replace, stop. It speaks to the zygote
// alone; it knows when a worker is there and how it ended, and nothing of what it did. Guarded by
// the engine's lock.
#pragma once

#include <chrono>
#include <cstdint>
#include <exception>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/fd.h"
#include "core/event.h"
#include "process/zygote_client.h"

namespace procpool::local {

class supervisor {
 public:
  using clock = std::chrono::steady_clock;
  /// Workers that ended before they were ready, one after the other, until the pool gives up.
  static constexpr int most_failed_starts = 3;
  /// The same for those that SIGKILL ended, which is hardly ever a worker's own fault.
  static constexpr int most_killed_starts = 50;
  /// fork refused one after the other, until a pool without any worker gives up: 10 ms, 20, 40, ...
  static constexpr int most_refused_forks = 7;
  /// Workers of one place that died young and idle, one after the other; the same for SIGKILL.
  static constexpr int most_idle_deaths = 10;
  static constexpr int most_idle_kills = 50;
  static constexpr std::chrono::seconds young{10};

  /// What a new worker is given: what wakes the parent for it, and its end of a pair of sockets.
  struct outfit {
    int bell;
    base::fd line;
  };
  /// `prepare` makes a place ready for a new worker, or throws std::system_error; `suspicious`:
  /// there was one before, which may have written ahead what the new one or the parent would
  /// believe, however it left.
  supervisor(process::zygote_client& zygote, bool has_initializer,
             std::function<outfit(std::uint32_t worker, bool suspicious)> prepare);

  /// So many places; there are not more yet.
  void grow(std::uint32_t places) { places_.resize(places); }
  /// keep() for the places there are, which returns when every worker has a pid. Throws
  /// std::system_error when the system refuses one.
  void fill();
  /// So many workers there shall be. Of those above that none is told to leave here.
  void keep(std::uint32_t workers);

  enum class stage {
    empty,      ///< to be filled
    launching,  ///< asked for
    starting,   ///< has a pid, runs its initializer
    up,
    leaving,  ///< told to leave
    ended,    ///< to be buried
  };
  [[nodiscard]] stage stage_of(std::uint32_t worker) const noexcept { return places_[worker].at; }
  [[nodiscard]] int pid_of(std::uint32_t worker) const noexcept { return places_[worker].pid; }

  struct ended {
    std::uint32_t worker;
    core::fate how;
    bool was_up;
    bool as_agreed;  ///< it had been told to leave, or said that it retires
    resource_usage usage;
  };
  /// Takes in what the zygote reports; appends the ends.
  void read(std::vector<ended>& to);
  /// There is something to read() that no descriptor tells of: workers that ended during fill().
  [[nodiscard]] bool holds_news() const noexcept { return !early_.empty(); }
  void is_up(std::uint32_t worker) noexcept;
  /// It has begun an item.
  void serves(std::uint32_t worker) noexcept;
  /// It was up, and ended against the agreement without having begun an item.
  void died_idle(std::uint32_t worker, const core::fate& how);
  /// It ended before it was ready; `cause`: what its initializer threw, when it did.
  void failed_to_start(std::uint32_t worker, const core::fate& how, std::exception_ptr cause);
  void leaves(std::uint32_t worker) noexcept;
  /// Ends it, and what its tasks have started. False: ask again later.
  bool kill(std::uint32_t worker) noexcept;
  bool signal(std::uint32_t worker, int number) noexcept;
  /// The workers that have been sent a signal() since this was last asked.
  std::vector<std::uint32_t> take_signalled() { return std::exchange(signalled_, {}); }
  /// The place of an ended worker is free: fills it again unless the pool is ending.
  void bury(std::uint32_t worker);

  /// No place is filled again.
  void retire() noexcept;
  /// Kills all workers, ends the zygote.
  void stop() noexcept;
  /// Tries again what was refused; ends what should have ended.
  void tick(clock::time_point now);
  [[nodiscard]] clock::time_point next_deadline() const noexcept;

  /// Once, when no worker can be made any more.
  std::optional<core::broken> take_broken();
  [[nodiscard]] bool gone() const noexcept { return gone_; }

 private:
  struct place {
    stage at = stage::empty;
    std::uint32_t generation = 0;
    int pid = 0;
    int refusal = 0;  // the errno of the last refused fork, until one is made
    bool suspicious = false;
    bool waits = false;  // for retry_at_
    bool killed = false;
    bool served = false;  // it has begun an item
    int idle_deaths = 0;  // in a row, of workers that had not
    clock::time_point launched;
  };
  static constexpr std::chrono::seconds patience{2};

  /// Places that have a worker, or are to have one. One that was told to leave does not count: it
  /// may be long at its last item, and is nobody's worker any more.
  [[nodiscard]] std::uint32_t taken() const noexcept;
  void launch(std::uint32_t worker);
  /// Later: 10 ms, 20, 40, ... `failures` in a row.
  void launch_after(std::uint32_t worker, int failures);
  void refused(std::uint32_t worker, int error);
  void give_up(core::broken why);
  [[nodiscard]] bool nobody_left() const noexcept;
  void stop_when_empty() noexcept;

  process::zygote_client& zygote_;
  bool has_initializer_;
  std::function<outfit(std::uint32_t, bool)> prepare_;
  std::vector<place> places_;
  std::uint32_t wanted_ = 0;
  std::vector<std::uint32_t> signalled_;
  std::vector<ended> early_;  // they ended while fill() waited for others
  bool retiring_ = false;
  bool stopping_ = false;
  bool gone_ = false;
  int failed_starts_ = 0;
  int killed_starts_ = 0;
  int refused_forks_ = 0;
  clock::time_point retry_at_ = clock::time_point::max();
  clock::time_point kill_at_ = clock::time_point::max();
  std::optional<core::broken> broken_;
  bool gave_up_ = false;
};

}  // namespace procpool::local
