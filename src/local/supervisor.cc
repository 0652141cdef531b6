// SPDX-License-Identifier: MIT
#include "local/supervisor.h"

#include <poll.h>
#include <sys/wait.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <string>
#include <system_error>
#include <utility>

#include "base/sys.h"
#include "procpool/error.h"

namespace procpool::local {

using process::report_kind;

supervisor::supervisor(process::zygote_client& zygote, bool has_initializer,
                       std::function<outfit(std::uint32_t, bool)> prepare)
    : zygote_(zygote), has_initializer_(has_initializer), prepare_(std::move(prepare)) {}

// ---- launching ----------------------------------------------------------------------------------

// All are asked for at once: the zygote forks one after the other and waits for no answer.
void supervisor::fill() {
  keep(static_cast<std::uint32_t>(places_.size()));
  const auto has_none = [](const place& p) { return p.waits || p.at == stage::launching; };
  for (;;) {
    read(early_);
    for (const place& p : places_) {
      if (p.refusal == 0) continue;
      errno = p.refusal;
      sys::raise("starting a worker");
    }
    if (zygote_.dead()) {
      errno = ECHILD;
      sys::raise("starting a worker: the zygote died");
    }
    if (std::ranges::none_of(places_, has_none)) return;
    std::array<pollfd, 2> fds{pollfd{zygote_.socket(), POLLIN, 0},
                              pollfd{zygote_.pidfd(), POLLIN, 0}};
    sys::ppoll(fds.data(), fds.size(), process::timeout(retry_at_).get());
    tick(clock::now());  // asks again where the socket had no room
  }
}

void supervisor::keep(std::uint32_t workers) {
  wanted_ = workers;
  if (retiring_ || stopping_) return;
  std::uint32_t taken_now = taken();
  for (std::uint32_t w = 0; w < places_.size() && taken_now < wanted_; ++w) {
    if (places_[w].at != stage::empty || places_[w].waits) continue;
    launch(w);
    ++taken_now;
  }
}

std::uint32_t supervisor::taken() const noexcept {
  return static_cast<std::uint32_t>(std::count_if(
      places_.begin(), places_.end(),
      [](const place& p) { return p.waits || (p.at != stage::empty && p.at != stage::leaving); }));
}

void supervisor::launch(std::uint32_t worker) {
  place& p = places_[worker];
  outfit own;
  try {
    own = prepare_(worker, p.suspicious);
  } catch (const std::system_error& e) {
    refused(worker, e.code().value());
    return;
  }
  p.suspicious = false;
  p.killed = false;
  p.served = false;
  p.pid = 0;
  p.waits = false;
  p.at = stage::launching;
  p.launched = clock::now();
  const std::array given{own.bell, own.line.get()};
  if (zygote_.request_launch(worker, ++p.generation, given)) return;
  p.at = stage::empty;
  launch_after(worker, 1);
}

void supervisor::launch_after(std::uint32_t worker, int failures) {
  places_[worker].waits = true;
  const auto pause = std::chrono::milliseconds(10 << std::min(failures - 1, 6));
  retry_at_ = std::min(retry_at_, clock::now() + pause);
}

/// fork, or what a worker needs, was refused: tried again later, for the reason may pass; given up
/// when it does not and nobody is left to do the work.
void supervisor::refused(std::uint32_t worker, int error) {
  place& p = places_[worker];
  p.at = stage::empty;
  p.refusal = error;
  ++refused_forks_;
  if (retiring_) {
    stop_when_empty();
    return;
  }
  if (refused_forks_ >= most_refused_forks && nobody_left()) {
    core::broken why;
    why.why = "procpool: the system lets the pool start no worker";
    why.cause = std::make_exception_ptr(
        std::system_error(error, std::system_category(), "procpool: starting a worker"));
    give_up(std::move(why));
    return;
  }
  launch_after(worker, refused_forks_);
}

bool supervisor::nobody_left() const noexcept {
  return std::none_of(places_.begin(), places_.end(), [](const place& p) {
    return p.at == stage::launching || p.at == stage::starting || p.at == stage::up;
  });
}

void supervisor::tick(clock::time_point now) {
  if (now >= kill_at_) {
    kill_at_ = clock::time_point::max();
    zygote_.kill_now();
  }
  if (now < retry_at_) return;
  retry_at_ = clock::time_point::max();
  if (retiring_ || stopping_) return;
  for (std::uint32_t w = 0; w < places_.size(); ++w) {
    if (!places_[w].waits) continue;
    places_[w].waits = false;
    if (taken() < wanted_) launch(w);
  }
}

supervisor::clock::time_point supervisor::next_deadline() const noexcept {
  return std::min(retry_at_, kill_at_);
}

// ---- watching -----------------------------------------------------------------------------------

void supervisor::read(std::vector<ended>& to) {
  if (&to != &early_) {
    to.insert(to.end(), early_.begin(), early_.end());
    early_.clear();
  }
  // Asked first: what it said before can be read afterwards.
  const bool over = !gone_ && zygote_.dead();
  while (auto r = zygote_.read()) {
    if (r->kind == report_kind::ready || r->worker >= places_.size()) continue;
    place& p = places_[r->worker];
    if (r->generation != p.generation) continue;
    if (r->kind == report_kind::launched) {
      p.pid = r->pid;
      p.refusal = 0;
      if (p.at == stage::launching) p.at = stage::starting;
      refused_forks_ = 0;
    } else if (r->kind == report_kind::launch_failed) {
      refused(r->worker, r->value);
    } else if (r->kind == report_kind::signalled) {
      signalled_.push_back(r->worker);
    } else if (p.at != stage::empty && p.at != stage::ended) {
      core::fate how{r->pid, r->value};
      bool was_up = p.at == stage::up || p.at == stage::leaving;
      // What it was still at when it was told to leave may have ended it.
      bool as_agreed = p.at == stage::leaving && r->value == 0;
      p.at = stage::ended;
      p.suspicious = true;
      const resource_usage usage{std::chrono::microseconds(r->user_time),
                                 std::chrono::microseconds(r->system_time),
                                 static_cast<std::size_t>(r->max_rss)};
      to.push_back({r->worker, how, was_up, as_agreed, usage});
    }
  }
  if (over || (!gone_ && zygote_.garbled())) {
    if (!stopping_ && !retiring_) {
      core::broken why;
      why.why = "procpool: the zygote (process " + std::to_string(zygote_.pid()) +
                "), which makes the workers, was killed";
      give_up(std::move(why));
    }
    zygote_.reap(clock::now() + patience);
    gone_ = true;
  }
}

void supervisor::is_up(std::uint32_t worker) noexcept {
  places_[worker].at = stage::up;
  failed_starts_ = killed_starts_ = 0;
}

void supervisor::failed_to_start(std::uint32_t worker, const core::fate& how,
                                 std::exception_ptr cause) {
  places_[worker].suspicious = true;
  if (retiring_ || stopping_) return;
  const bool killed = !cause && WIFSIGNALED(how.status) && WTERMSIG(how.status) == SIGKILL;
  if (killed ? ++killed_starts_ < most_killed_starts : ++failed_starts_ < most_failed_starts)
    return;
  core::broken why;
  why.by_initializer = has_initializer_;
  why.why = has_initializer_ ? "procpool: the initializer failed in several workers running"
                             : "procpool: several workers running ended before they were ready";
  why.cause = cause ? std::move(cause)
                    : std::make_exception_ptr(worker_died(how.pid, how.status, 0, how.known));
  give_up(std::move(why));
}

void supervisor::serves(std::uint32_t worker) noexcept {
  places_[worker].served = true;
  places_[worker].idle_deaths = 0;
}

void supervisor::died_idle(std::uint32_t worker, const core::fate& how) {
  place& p = places_[worker];
  if (p.served || retiring_ || stopping_) return;
  if (clock::now() - p.launched > young) p.idle_deaths = 0;
  const bool killed = WIFSIGNALED(how.status) && WTERMSIG(how.status) == SIGKILL;
  if (++p.idle_deaths < (killed ? most_idle_kills : most_idle_deaths)) return;
  core::broken why;
  why.why = "procpool: several workers running died soon, and before they had begun any item";
  why.cause = std::make_exception_ptr(worker_died(how.pid, how.status, 0, how.known));
  give_up(std::move(why));
}

void supervisor::leaves(std::uint32_t worker) noexcept { places_[worker].at = stage::leaving; }

bool supervisor::kill(std::uint32_t worker) noexcept {
  place& p = places_[worker];
  if (!p.killed) p.killed = zygote_.request_kill(worker, p.generation, SIGKILL);
  return p.killed;
}

bool supervisor::signal(std::uint32_t worker, int number) noexcept {
  return zygote_.request_kill(worker, places_[worker].generation, number);
}

void supervisor::bury(std::uint32_t worker) {
  places_[worker].at = stage::empty;
  if (!stopping_ && !retiring_ && taken() < wanted_) {
    // The first failures in a row cost no time: they are hardly ever the first of many.
    const int failures = std::max({failed_starts_, killed_starts_, places_[worker].idle_deaths});
    if (failures < 2)
      launch(worker);
    else
      launch_after(worker, std::min(failures - 1, 4));
  }
  stop_when_empty();
}

// ---- stopping -----------------------------------------------------------------------------------

void supervisor::retire() noexcept {
  retiring_ = true;
  zygote_.request_retire();  // or, if it does not hear that, when all places are empty
  stop_when_empty();
}

void supervisor::stop_when_empty() noexcept {
  if (retiring_ && std::all_of(places_.begin(), places_.end(),
                               [](const place& p) { return p.at == stage::empty; }))
    stop();
}

void supervisor::give_up(core::broken why) {
  if (gave_up_) return;
  gave_up_ = true;
  broken_ = std::move(why);
  stop();
}

std::optional<core::broken> supervisor::take_broken() {
  return std::exchange(broken_, std::nullopt);
}

void supervisor::stop() noexcept {
  if (stopping_ || gone_) return;
  stopping_ = true;
  kill_at_ = clock::now() + patience;
  if (!zygote_.request_stop()) zygote_.kill_now();
}

}  // namespace procpool::local
