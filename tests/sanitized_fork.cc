// SPDX-License-Identifier: MIT
// fork() in a program of several threads, under a sanitizer. glibc's fork takes malloc's locks, so
// that the copy finds them free; the allocators of g++ 12's libasan and libtsan do not (LLVM's do
// since its pull requests 75290 and 96600). A copy made while another thread is in there waits for
// ever for a lock that nobody of its own holds, and the wait for it is taken for a fault of the
// pool. So no thread is in there while one forks: in new and delete, that is, which here is nearly
// always how it comes there.
//
// The threads leave no trace of this for the thread sanitizer to see: it would take the order in
// which they allocate for one that the program keeps.
#include <dlfcn.h>
#include <pthread.h>
#include <sched.h>

#include <cstddef>
#include <new>

namespace {

int allocating = 0;  // threads
int forking = 0;     // whether one is
thread_local bool forks = false;

#define PROCPOOL_UNSEEN __attribute__((no_sanitize("thread")))

PROCPOOL_UNSEEN void enter() {
  while (!forks) {
    __atomic_add_fetch(&allocating, 1, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&forking, __ATOMIC_SEQ_CST) == 0) return;
    __atomic_sub_fetch(&allocating, 1, __ATOMIC_SEQ_CST);
    sched_yield();
  }
}

PROCPOOL_UNSEEN void leave() {
  if (!forks) __atomic_sub_fetch(&allocating, 1, __ATOMIC_SEQ_CST);
}

PROCPOOL_UNSEEN void before_fork() {
  while (__atomic_exchange_n(&forking, 1, __ATOMIC_SEQ_CST) != 0) sched_yield();
  forks = true;
  while (__atomic_load_n(&allocating, __ATOMIC_SEQ_CST) != 0) sched_yield();
}

PROCPOOL_UNSEEN void after_fork() {
  forks = false;
  __atomic_store_n(&forking, 0, __ATOMIC_SEQ_CST);
}

// A thread that was just finding out that it may not enter is counted in the copy, too, and is not
// there to leave.
PROCPOOL_UNSEEN void in_the_copy() {
  __atomic_store_n(&allocating, 0, __ATOMIC_SEQ_CST);
  after_fork();
}

[[maybe_unused]] const int registered = pthread_atfork(before_fork, after_fork, in_the_copy);

struct within {
  within() { enter(); }
  ~within() { leave(); }
  within(const within&) = delete;
  within& operator=(const within&) = delete;
};

/// The sanitizer's own function of that (mangled) name, so that it still tells new from new[].
template <typename Function>
Function* next(const char* name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
}

using std::align_val_t;
using std::nothrow_t;
using std::size_t;

}  // namespace

// Weak, as some tests have an allocator of their own.
#define PROCPOOL_PASS_ON(result, function, name, parameters, ...) \
  [[gnu::weak]] result function parameters {                      \
    static const auto pass_on = next<result parameters>(name);    \
    const within it;                                              \
    return pass_on(__VA_ARGS__);                                  \
  }

// clang-format off
PROCPOOL_PASS_ON(void*, operator new, "_Znwm", (size_t n), n)
PROCPOOL_PASS_ON(void*, operator new[], "_Znam", (size_t n), n)
PROCPOOL_PASS_ON(void*, operator new, "_ZnwmSt11align_val_t", (size_t n, align_val_t a), n, a)
PROCPOOL_PASS_ON(void*, operator new[], "_ZnamSt11align_val_t", (size_t n, align_val_t a), n, a)
PROCPOOL_PASS_ON(void*, operator new, "_ZnwmRKSt9nothrow_t", (size_t n, const nothrow_t& t) noexcept, n, t)
PROCPOOL_PASS_ON(void*, operator new[], "_ZnamRKSt9nothrow_t", (size_t n, const nothrow_t& t) noexcept, n, t)
PROCPOOL_PASS_ON(void, operator delete, "_ZdlPv", (void* p) noexcept, p)
PROCPOOL_PASS_ON(void, operator delete[], "_ZdaPv", (void* p) noexcept, p)
PROCPOOL_PASS_ON(void, operator delete, "_ZdlPvm", (void* p, size_t n) noexcept, p, n)
PROCPOOL_PASS_ON(void, operator delete[], "_ZdaPvm", (void* p, size_t n) noexcept, p, n)
PROCPOOL_PASS_ON(void, operator delete, "_ZdlPvSt11align_val_t", (void* p, align_val_t a) noexcept, p, a)
PROCPOOL_PASS_ON(void, operator delete[], "_ZdaPvSt11align_val_t", (void* p, align_val_t a) noexcept, p, a)
PROCPOOL_PASS_ON(void, operator delete, "_ZdlPvmSt11align_val_t", (void* p, size_t n, align_val_t a) noexcept, p, n, a)
PROCPOOL_PASS_ON(void, operator delete[], "_ZdaPvmSt11align_val_t", (void* p, size_t n, align_val_t a) noexcept, p, n, a)
// clang-format on
