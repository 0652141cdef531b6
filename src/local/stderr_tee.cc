// SPDX-License-Identifier: MIT
#include "local/stderr_tee.h"

#include <stdio.h>
#include <stdio_ext.h>

#include <atomic>
#include <iostream>
#include <streambuf>

#include "base/sys.h"

namespace procpool::local {
namespace {

// A forked worker begins with what its zygote has; or with what a worker's has, of a pool in a
// pool.
struct {
  shm::stderr_ring* to = nullptr;
  pid_t owner = 0;
  int descriptor = -1;
} teed;
std::atomic_flag busy;

// Of two threads that print at once one is not noted: to wait for a lock here could be for ever, in
// a copy of the process.
void note(const char* from, std::size_t size) noexcept {
  if (sys::getpid() != teed.owner || busy.test_and_set(std::memory_order_acquire)) return;
  shm::append(*teed.to, from, size);
  busy.clear(std::memory_order_release);
}

ssize_t write_both(void*, const char* from, std::size_t size) {
  std::size_t done = 0;
  while (done < size) {
    const ssize_t n = sys::write(teed.descriptor, from + done, size - done);
    if (n <= 0) break;
    done += static_cast<std::size_t>(n);
  }
  note(from, done);
  return static_cast<ssize_t>(done);
}

// Has no buffer of its own; never destroyed, as exit() flushes cerr last of all.
class tee final : public std::streambuf {
 public:
  explicit tee(std::streambuf* to) noexcept : to_(to) {}

 private:
  int_type overflow(int_type c) override {
    if (traits_type::eq_int_type(c, traits_type::eof())) return traits_type::not_eof(c);
    const char one = traits_type::to_char_type(c);
    const int_type put = to_->sputc(one);
    if (!traits_type::eq_int_type(put, traits_type::eof())) note(&one, 1);
    return put;
  }
  std::streamsize xsputn(const char* from, std::streamsize size) override {
    const std::streamsize put = to_->sputn(from, size);
    if (put > 0) note(from, static_cast<std::size_t>(put));
    return put;
  }
  int sync() override { return to_->pubsync(); }

  std::streambuf* to_;
};

void keep(std::ostream& stream) {
  if (stream.rdbuf() != nullptr) stream.rdbuf(new tee(stream.rdbuf()));
}

int close_descriptor(void*) { return sys::close(teed.descriptor); }

// glibc lets stderr be assigned, and a stream have functions of ours for its calls. Such a stream
// lacks two things that programs want of stderr: a number for fileno (isatty(fileno(stderr))), and
// the state for wide characters, without which freopen and fwprintf step on nothing. Both are
// fields that <stdio.h> declares; the state is lent by a stream that is used for nothing else.
// freopen and fwprintf turn it into an ordinary stream, whose output is noted no more.
void keep_c() {
  const int descriptor = ::fileno(stderr);
  if (descriptor < 0 || ::__fbufsize(stderr) > 1) return;
  FILE* lender = ::fdopen(descriptor, "w");
  FILE* both = ::fopencookie(nullptr, "w", {nullptr, write_both, nullptr, close_descriptor});
  if (lender == nullptr || both == nullptr) return;
  ::setvbuf(both, nullptr, _IONBF, 0);
  both->_fileno = descriptor;
  both->_wide_data = lender->_wide_data;
  both->_mode = 0;  // neither narrow nor wide yet
  teed.descriptor = descriptor;
  stderr = both;
}

}  // namespace

void tee_stderr() {
  keep_c();
  keep(std::cerr);
  keep(std::clog);
}

void keep_stderr(shm::stderr_ring& to) noexcept {
  teed.to = &to;
  teed.owner = sys::getpid();
  busy.clear();
}

}  // namespace procpool::local
