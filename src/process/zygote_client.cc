// SPDX-License-Identifier: MIT
#include "process/zygote_client.h"

#include <sys/socket.h>

#include <array>
#include <system_error>
#include <utility>
#include <vector>

#include "base/stdio.h"
#include "base/sys.h"
#include "process/program.h"
#include "process/zygote_server.h"
#include "procpool/error.h"

namespace procpool::process {
namespace {

// No handler of the user's runs in a child that has not put them away yet.
class all_signals_blocked {
 public:
  all_signals_blocked() noexcept {
    sigset_t all;
    sigfillset(&all);
    sys::thread_sigmask(SIG_BLOCK, &all, &before_);
  }
  all_signals_blocked(const all_signals_blocked&) = delete;
  all_signals_blocked& operator=(const all_signals_blocked&) = delete;
  ~all_signals_blocked() { sys::thread_sigmask(SIG_SETMASK, &before_, nullptr); }

 private:
  sigset_t before_;
};

[[noreturn]] void refuse(int error, const char* what) {
  errno = error;
  sys::raise(what);
}

}  // namespace

zygote_client::zygote_client() noexcept : owner_(sys::getpid()) {}

// Both delegate, so that the destructor clears away what was made before a throw.
zygote_client::zygote_client(const child_function& child, const preparation& prepare,
                             const std::function<void()>& meanwhile)
    : zygote_client() {
  // Otherwise the zygote and each worker would have a copy to print.
  base::flush_stdio();
  // A zygote that stays silent was copied while another thread held a lock that fork does not look
  // after: the loader's (base/entry.cc), or one of the user's in an atfork handler. Such locks are
  // held briefly: the next copy is made without. On a machine so busy that a fresh process is not
  // run for that long, another try costs nothing but its time.
  constexpr std::chrono::milliseconds first{100};
  for (auto patience = first; patience.count() < 30'000; patience *= 2) {
    start([&](ends& e) {
      const all_signals_blocked guard;
      const pid_t pid = sys::check(sys::fork(), "fork of the zygote");
      if (pid != 0) return pid;
      e.ours.reset();
      serve_zygote(std::move(e.theirs), std::move(e.owner), child, prepare);
    });
    if (patience == first) meanwhile();
    if (await_ready(clock::now() + patience)) return;
    kill_now();
    reap(clock::time_point::max());
    forget();
  }
  refuse(EDEADLK, "the zygote does not start: a lock was held when it was forked");
}

zygote_client::zygote_client(std::span<const int> descriptors,
                             const std::function<void()>& meanwhile)
    : zygote_client() {
  start([&](ends& e) {
    std::vector<int> all{e.theirs.get(), e.owner.get()};
    all.insert(all.end(), descriptors.begin(), descriptors.end());
    return execute_again({assignment::role::zygote}, all);
  });
  meanwhile();
  // Its static constructors may be slow, and its main() must come to procpool::init at last.
  if (!await_ready(clock::now() + std::chrono::seconds(60)))
    refuse(ETIMEDOUT, "this program, executed again, does not come to procpool::init");
}

zygote_client::~zygote_client() {
  if (!zygote_ || sys::getpid() != owner_) return;
  socket_.reset();  // the end of what it reads: it would leave by itself
  kill_now();
  reap(clock::time_point::max());
}

void zygote_client::start(const std::function<pid_t(ends&)>& make) {
  int pair[2];
  sys::check(sys::socketpair(pair), "socketpair for the zygote");
  ends e{base::fd(pair[0]), base::fd(pair[1]), base::fd()};
  // Made here, as the zygote could not tell by a number whether its parent has ended already.
  e.owner = base::fd(sys::check(sys::pidfd_open(owner_), "pidfd_open (Linux 5.3)"));
  const pid_t pid = make(e);

  base::fd pidfd(sys::pidfd_open(pid));
  if (!pidfd) {
    const int error = errno;
    sys::kill(pid, SIGKILL);
    sys::waitpid(pid, nullptr, 0);
    refuse(error, "pidfd_open of the zygote");
  }
  socket_ = std::move(e.ours);
  zygote_ = handle(pid, std::move(pidfd));
  garbled_ = false;
}

// False: it is still silent at the deadline.
bool zygote_client::await_ready(clock::time_point deadline) {
  for (;;) {
    // Dead is asked first: what it said before can be read afterwards.
    const bool over = dead();
    if (const std::optional<report> r = read(); r.has_value()) {
      if (r->kind == report_kind::ready && r->value == 0) return true;
      if (r->kind == report_kind::refused) throw pool_broken(words_);
      refuse(r->value != 0 ? r->value : EPROTO, "the zygote cannot start");
    }
    if (over || garbled_)
      refuse(ECHILD,
             "the zygote ended before it was ready (forkserver, spawn: main() begins with "
             "procpool::init)");
    if (clock::now() >= deadline) return false;
    std::array<pollfd, 2> fds{{{socket(), POLLIN, 0}, {pidfd(), POLLIN, 0}}};
    if (sys::ppoll(fds.data(), fds.size(), timeout(deadline).get()) == -1 && errno != EINTR)
      sys::raise("ppoll for the zygote");
  }
}

bool zygote_client::request_launch(std::uint32_t worker, std::uint32_t generation,
                                   std::span<const int> given) noexcept {
  return send({request_kind::launch, worker, generation, static_cast<std::int32_t>(given.size())},
              given);
}

bool zygote_client::request_kill(std::uint32_t worker, std::uint32_t generation,
                                 int signal) noexcept {
  return send({request_kind::kill, worker, generation, signal});
}

bool zygote_client::request_stop() noexcept { return send({request_kind::stop, 0, 0, 0}); }

bool zygote_client::request_retire() noexcept { return send({request_kind::retire, 0, 0, 0}); }

bool zygote_client::send(const request& r, std::span<const int> along) noexcept {
  return sys::send(socket_.get(), &r, sizeof r, MSG_DONTWAIT, along) == sizeof r;
}

std::optional<report> zygote_client::read() noexcept {
  struct {
    report r;
    char words[most_words];
  } packet;
  ssize_t size = 0;
  do {
    size = sys::recv(socket_.get(), &packet, sizeof packet, MSG_DONTWAIT | MSG_TRUNC);
    // Said once, before what is still to be read, when it left without reading all of ours.
  } while (size == -1 && errno == ECONNRESET);
  if (size == -1) return std::nullopt;
  const ssize_t words = size - static_cast<ssize_t>(sizeof packet.r);
  if (words < 0 || !makes_sense(packet.r) || size > static_cast<ssize_t>(sizeof packet) ||
      (words > 0) != (packet.r.kind == report_kind::refused)) {
    garbled_ = true;
    return std::nullopt;
  }
  if (words > 0) words_.assign(packet.words, static_cast<std::size_t>(words));
  return packet.r;
}

bool zygote_client::dead() const noexcept { return garbled_ || zygote_.ended(); }

void zygote_client::kill_now() noexcept {
  if (zygote_) zygote_.kill(SIGKILL);
}

bool zygote_client::reap(clock::time_point deadline) noexcept {
  return !zygote_ || zygote_.reap(deadline);
}

void zygote_client::forget() noexcept {
  socket_.reset();
  zygote_ = handle();
}

}  // namespace procpool::process
