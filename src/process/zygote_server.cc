// SPDX-License-Identifier: MIT
#include "process/zygote_server.h"

#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <system_error>
#include <utility>
#include <vector>

#include "base/entry.h"
#include "base/stdio.h"
#include "base/step.h"
#include "base/sys.h"

namespace procpool::process {
namespace {

base::fd watch_children() {
  sigset_t children;
  sigemptyset(&children);
  sigaddset(&children, SIGCHLD);
  return base::fd(sys::check(sys::signalfd(-1, &children, SFD_CLOEXEC | SFD_NONBLOCK), "signalfd"));
}

std::int64_t microseconds(const timeval& t) noexcept {
  return std::int64_t{t.tv_sec} * 1'000'000 + t.tv_usec;
}

/// The worker, and what its tasks have started and left in its group.
void kill_group(pid_t worker) noexcept {
  if (sys::kill(-worker, SIGKILL) != 0) sys::kill(worker, SIGKILL);
}

void ignore(int signal) {
  struct ::sigaction action {};
  action.sa_handler = SIG_IGN;
  sys::check(sys::sigaction(signal, &action, nullptr), "sigaction");
}

// Single-threaded. Blocks in its poll only: a report that finds the socket full waits in a queue.
class server {
 public:
  server(base::fd socket, base::fd parent, const child_function& child) noexcept
      : self_(sys::getpid()),
        socket_(std::move(socket)),
        parent_(std::move(parent)),
        child_(child) {}

  /// Throws std::system_error.
  void start();
  void say(const report& r);
  void turn();
  [[noreturn]] void stop(int status) noexcept;

 private:
  struct forked {
    pid_t pid;
    std::uint32_t worker;
    std::uint32_t generation;
  };

  void receive();
  void launch(const request& r, gifts given);
  void kill(const request& r);
  void reap();
  bool flush();
  bool send(const report& r) noexcept;
  [[noreturn]] void become_worker(const request& r, gifts given);

  const pid_t self_;
  base::fd socket_;
  base::fd parent_;
  base::fd signals_;
  const child_function& child_;
  std::vector<forked> children_;  // forked and not reaped
  std::deque<report> unsent_;
  bool retiring_ = false;
};

void server::start() {
  // Every signal stays blocked as long as it lives, which is the owner's affair alone: no Ctrl-C,
  // Ctrl-Z, hang-up or kill but SIGKILL touches it. Children are reported through the signalfd.
  put_handlers_away();
  // For its workers: their own group makes them background processes on a terminal, which must not
  // be stopped for reading or writing there.
  ignore(SIGTTIN);
  ignore(SIGTTOU);
  rename("procpool zygote");
  signals_ = watch_children();
  // Asks the loader for its modules, and hangs right here, before it has said a word, when this
  // copy of the process was made while a thread held the loader's lock. The owner then makes
  // another.
  static_cast<void>(base::find({}));
}

void server::turn() {
  const short wanted = unsent_.empty() ? POLLIN : POLLIN | POLLOUT;
  std::array<pollfd, 3> fds{
      {{socket_.get(), wanted, 0}, {parent_.get(), POLLIN, 0}, {signals_.get(), POLLIN, 0}}};
  if (sys::ppoll(fds.data(), fds.size(), nullptr) == -1) return;
  // Other copies of the owner's process may hold its end of the socket: the end of what is read
  // there may never come, while the owner's own end always does.
  if (fds[1].revents != 0) stop(EXIT_SUCCESS);
  if (fds[2].revents != 0) reap();
  if ((fds[0].revents & POLLOUT) != 0 && !flush()) stop(EXIT_SUCCESS);
  if ((fds[0].revents & ~POLLOUT) != 0) receive();
  if (retiring_ && children_.empty() && unsent_.empty()) stop(EXIT_SUCCESS);
}

void server::receive() {
  for (;;) {
    request r;
    std::array<int, most_given> along;
    const ssize_t size = sys::recv(socket_.get(), &r, sizeof r, MSG_DONTWAIT | MSG_TRUNC, along);
    gifts given{base::fd(along[0]), base::fd(along[1])};
    // Nothing is there, or there is no memory to take it: poll says when to try again.
    if (size == -1 && (errno == EAGAIN || errno == ENOBUFS || errno == ENOMEM)) return;
    // Its end, an error, or words that no owner says: there is no owner to serve.
    if (size != sizeof r || !makes_sense(r)) stop(EXIT_SUCCESS);
    switch (r.kind) {
      case request_kind::launch:
        launch(r, std::move(given));
        break;
      case request_kind::kill:
        kill(r);
        break;
      case request_kind::stop:
        stop(EXIT_SUCCESS);
      case request_kind::retire:
        retiring_ = true;
        break;
    }
  }
}

void server::launch(const request& r, gifts given) {
  PROCPOOL_STEP("zygote: launch received");
  const auto arrived = std::ranges::count_if(given, [](const base::fd& d) { return bool(d); });
  if (arrived != r.value) {  // there was no number left for it
    say({report_kind::launch_failed, r.worker, r.generation, 0, EMFILE});
    return;
  }
  children_.reserve(children_.size() + 1);  // nothing throws between the fork and its being noted
  const pid_t pid = sys::fork();
  if (pid == 0) become_worker(r, std::move(given));
  if (pid == -1) {
    say({report_kind::launch_failed, r.worker, r.generation, 0, errno});
    return;
  }
  PROCPOOL_STEP("zygote: worker forked, not reported");
  // The worker does the same: whoever comes first, it is done before anybody signals the group.
  sys::setpgid(pid, pid);
  children_.push_back({pid, r.worker, r.generation});
  say({report_kind::launched, r.worker, r.generation, pid, 0});
  PROCPOOL_STEP("zygote: launch reported");
}

void server::become_worker(const request& r, gifts given) {
  try {
    PROCPOOL_STEP("worker: forked, outlives its zygote");
    // The zygote's only thread forked us, so its end is the zygote's end. When it came before the
    // prctl, we have been given to another parent already.
    sys::check(sys::prctl(PR_SET_PDEATHSIG, SIGKILL), "prctl(PR_SET_PDEATHSIG)");
    if (sys::getppid() != self_) sys::_exit(EXIT_FAILURE);
    PROCPOOL_STEP("worker: forked, dies with its zygote");
    // A group of its own, so that what its tasks start ends with it.
    sys::check(sys::setpgid(0, 0), "setpgid");
    socket_.reset();
    parent_.reset();
    signals_.reset();
    rename(worker_name);
    sigset_t none;
    sigemptyset(&none);
    sys::thread_sigmask(SIG_SETMASK, &none, nullptr);
    child_(r.worker, r.generation, std::move(given));
    PROCPOOL_STEP("worker: leaves");
  } catch (...) {
    // The frames above are the zygote's and, further up, a copy of the user's: nothing returns to
    // those. Nor does pthread_exit, whose unwinding stops here; it must not reach this block's end.
    leave(EXIT_FAILURE);
  }
  leave(EXIT_SUCCESS);
}

void server::kill(const request& r) {
  PROCPOOL_STEP("zygote: kill received");
  for (const forked& c : children_) {
    if (c.worker != r.worker || c.generation != r.generation) continue;
    if (r.value == SIGKILL)
      kill_group(c.pid);
    else
      sys::kill(c.pid, r.value);
  }
  PROCPOOL_STEP("zygote: killed, not reported");
  // The owner lets nothing else begin there until the signal has met what it is for.
  if (r.value != SIGKILL) say({report_kind::signalled, r.worker, r.generation, 0, 0});
}

void server::reap() {
  signalfd_siginfo ignored;
  // One signal may stand for many children, so what it says is not looked at.
  while (sys::read(signals_.get(), &ignored, sizeof ignored) > 0) {
  }
  for (;;) {
    // Looked at before it is reaped: as long as it is a zombie, its number and its group's are its
    // own.
    siginfo_t end{};
    if (sys::waitid(P_ALL, 0, &end, WEXITED | WNOHANG | WNOWAIT) != 0 || end.si_pid == 0) return;
    const pid_t pid = end.si_pid;
    const auto c = std::find_if(children_.begin(), children_.end(),
                                [&](const forked& each) { return each.pid == pid; });
    const bool left_well = end.si_code == CLD_EXITED && end.si_status == EXIT_SUCCESS;
    if (c != children_.end() && !left_well) kill_group(pid);
    int status = 0;
    struct ::rusage used {};
    if (sys::wait4(pid, &status, 0, &used) != pid) return;
    PROCPOOL_STEP("zygote: child reaped, not reported");
    // As the first process of a pid namespace it is given strangers, too.
    if (c == children_.end()) continue;
    report r{report_kind::ended, c->worker, c->generation, pid, status};
    r.user_time = microseconds(used.ru_utime);
    r.system_time = microseconds(used.ru_stime);
    r.max_rss = used.ru_maxrss * 1024;
    children_.erase(c);
    say(r);
    PROCPOOL_STEP("zygote: end reported");
  }
}

void server::say(const report& r) {
  unsent_.push_back(r);
  if (!flush()) stop(EXIT_SUCCESS);
}

// False: there is nobody to tell.
bool server::flush() {
  while (!unsent_.empty()) {
    if (!send(unsent_.front())) return errno == EAGAIN || errno == ENOBUFS || errno == ENOMEM;
    unsent_.pop_front();
  }
  return true;
}

bool server::send(const report& r) noexcept {
  return sys::send(socket_.get(), &r, sizeof r, MSG_DONTWAIT) == sizeof r;
}

void server::stop(int status) noexcept {
  PROCPOOL_STEP("zygote: stopping");
  // SIGKILL ends what ignores everything else, and what is stopped.
  for (const forked& c : children_) kill_group(c.pid);
  PROCPOOL_STEP("zygote: children killed");
  bool room = true;
  for (const report& r : unsent_) room = room && send(r);
  int how = 0;
  for (pid_t pid = 0; (pid = sys::waitpid(-1, &how, 0)) > 0;)
    for (const forked& c : children_)
      if (c.pid == pid) room = room && send({report_kind::ended, c.worker, c.generation, pid, how});
  sys::_exit(status);
}

}  // namespace

void put_handlers_away() {
  for (int signal = 1; signal < NSIG; ++signal) {
    struct ::sigaction action {};
    // Fails for what cannot be handled (SIGKILL) and what glibc keeps for itself.
    if (sys::sigaction(signal, nullptr, &action) != 0) continue;
    if (action.sa_handler == SIG_IGN || action.sa_handler == SIG_DFL) continue;
    action = {};
    action.sa_handler = SIG_DFL;
    sys::sigaction(signal, &action, nullptr);
  }
  struct ::sigaction action {};
  action.sa_handler = SIG_DFL;
  action.sa_flags = SA_NOCLDSTOP;
  sys::check(sys::sigaction(SIGCHLD, &action, nullptr), "sigaction(SIGCHLD)");
  ignore(SIGINT);
}

void rename(const char* name) noexcept {
  sys::prctl(PR_SET_NAME, reinterpret_cast<unsigned long>(name));
}

void leave(int status) noexcept {
  base::flush_stdio();
  sys::_exit(status);
}

void refuse_to_serve(const base::fd& socket, int error) noexcept {
  const report r{report_kind::ready, 0, 0, sys::getpid(), error};
  sys::send(socket.get(), &r, sizeof r, 0);
  sys::_exit(EXIT_FAILURE);
}

void refuse_to_serve(const base::fd& socket, std::string_view why) noexcept {
  struct {
    report r;
    char words[most_words];
  } packet;
  packet.r = {report_kind::refused, 0, 0, sys::getpid(), 0};
  const std::size_t size = std::min(why.size(), most_words);
  std::memcpy(packet.words, why.data(), size);
  sys::send(socket.get(), &packet, sizeof packet.r + size, 0);
  sys::_exit(EXIT_FAILURE);
}

void serve_zygote(base::fd socket, base::fd parent, const child_function& child,
                  const preparation& prepare) noexcept {
  PROCPOOL_STEP("zygote: started");
  server s(std::move(socket), std::move(parent), child);
  try {
    try {
      s.start();
      prepare();
    } catch (const std::system_error& e) {
      s.say({report_kind::ready, 0, 0, sys::getpid(), e.code().value()});
      s.stop(EXIT_FAILURE);
    }
    s.say({report_kind::ready, 0, 0, sys::getpid(), 0});
    PROCPOOL_STEP("zygote: ready");
    for (;;) s.turn();
  } catch (...) {  // std::bad_alloc: without memory for its notes it can keep no promise
    s.stop(EXIT_FAILURE);
  }
}

}  // namespace procpool::process
