// SPDX-License-Identifier: MIT
#include "local/crash_handler.h"

#include <cxxabi.h>
#include <dlfcn.h>
#include <signal.h>
#include <ucontext.h>
#include <unistd.h>
#include <unwind.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <iterator>
#include <string>
#include <string_view>
#include <typeinfo>

#include "base/entry.h"
#include "base/sys.h"

// A fully static program has none, and does without.
#pragma weak dlvsym

namespace procpool::local {
namespace {

constexpr int crash_signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS};
// A handler that takes longer hangs.
constexpr unsigned most_seconds = 2;

// What glibc leaves of the text it prints before it aborts: assert/__libc_message.h.
struct abort_message {
  unsigned size;
  char text[1];
};

// A forked worker begins with what its zygote has; or with what a worker's has, of a pool in a
// pool.
struct {
  shm::crash* to = nullptr;
  pid_t owner = 0;
  std::uintptr_t outermost = 0;
  abort_message* const* said = nullptr;  // null: this C library says nothing
  std::terminate_handler before = nullptr;
} here;
std::atomic<pid_t> dying{0};  // the thread whose crash is being noted
siginfo_t first;              // what it got
std::atomic_flag terminating;

static_assert(std::atomic<pid_t>::is_always_lock_free);

// ---- where it stands ----------------------------------------------------------------------------

struct registers {
#if defined(__x86_64__)
  static std::uintptr_t pc(const ucontext_t& c) noexcept {
    return static_cast<std::uintptr_t>(c.uc_mcontext.gregs[REG_RIP]);
  }
  // After a call to where no code is, as if the call had just been about to be made.
  __attribute__((no_sanitize("address", "thread"))) static void undo_call(ucontext_t& c) noexcept {
    auto& g = c.uc_mcontext.gregs;
    g[REG_RIP] = *reinterpret_cast<const greg_t*>(g[REG_RSP]) - 1;
    g[REG_RSP] += 8;
  }
#elif defined(__aarch64__)
  static std::uintptr_t pc(const ucontext_t& c) noexcept { return c.uc_mcontext.pc; }
  static void undo_call(ucontext_t& c) noexcept { c.uc_mcontext.pc = c.uc_mcontext.regs[30] - 4; }
#else
#error "procpool: this processor's registers are not known here"
#endif
};

bool note(std::uintptr_t pc) noexcept {
  const std::uint32_t k = here.to->frames.load(std::memory_order_relaxed);
  if (k >= std::size(here.to->stack)) return false;
  here.to->stack[k] = base::name_in_handler(pc);
  here.to->frames.store(k + 1, std::memory_order_release);
  return true;
}

_Unwind_Reason_Code step(_Unwind_Context* frame, void* below_handler) {
  bool& below = *static_cast<bool*>(below_handler);
  int exact = 0;  // not a return address: the frame that a signal interrupted
  const std::uintptr_t ip = _Unwind_GetIPInfo(frame, &exact);
  if (ip == 0) return _URC_END_OF_STACK;
  if (!below) {  // the handler's own frames, and the one noted first
    below = exact != 0;
    return _URC_NO_REASON;
  }
  if (_Unwind_GetRegionStart(frame) == here.outermost) return _URC_END_OF_STACK;
  return note(exact != 0 ? ip : ip - 1) ? _URC_NO_REASON : _URC_END_OF_STACK;
}

void note_stack(const siginfo_t& info, ucontext_t& context) noexcept {
  std::uintptr_t pc = registers::pc(context);
  note(pc);
  const bool called_nowhere = (info.si_signo == SIGSEGV || info.si_signo == SIGBUS) &&
                              info.si_code > 0 &&
                              reinterpret_cast<std::uintptr_t>(info.si_addr) == pc;
  if (called_nowhere) {
    registers::undo_call(context);
    note(registers::pc(context));
  }
  bool below = false;
  _Unwind_Backtrace(step, &below);
}

// ---- what is said -------------------------------------------------------------------------------

template <std::size_t N>
void note(char (&to)[N], std::atomic<std::uint32_t>& size, std::string_view text) noexcept {
  const std::size_t n = std::min(N, text.size());
  std::memcpy(to, text.data(), n);
  size.store(static_cast<std::uint32_t>(n), std::memory_order_release);
}

void note_abort_message() noexcept {
  if (here.said == nullptr || *here.said == nullptr) return;
  if (here.to->type_size.load(std::memory_order_relaxed) != 0) return;
  const abort_message& said = **here.said;
  const std::size_t room = said.size - std::min<std::size_t>(said.size, sizeof said.size);
  note(here.to->text, here.to->text_size,
       {said.text, ::strnlen(said.text, std::min(room, std::size(here.to->text)))});
}

void note_exception() noexcept {
  const std::type_info* type = abi::__cxa_current_exception_type();
  if (type == nullptr) return;
  int status = 0;
  char* readable = abi::__cxa_demangle(type->name(), nullptr, nullptr, &status);
  note(here.to->type, here.to->type_size, readable != nullptr ? readable : type->name());
  std::free(readable);  // NOLINT(cppcoreguidelines-no-malloc): the demangler's
  const auto text = [](const char* said) {
    if (said != nullptr) note(here.to->text, here.to->text_size, said);
  };
  try {
    throw;
  } catch (const std::exception& e) {
    text(e.what());
  } catch (const std::string& s) {
    text(s.c_str());
  } catch (const char* s) {
    text(s);
  } catch (...) {
  }
}

// ---- the handlers -------------------------------------------------------------------------------

// As if no handler had been there. SI_KERNEL and the like may be queued for one's own process, so a
// core file shows the true signal.
[[noreturn]] void die(siginfo_t& info) noexcept {
  struct ::sigaction normal {};
  normal.sa_handler = SIG_DFL;
  sys::sigaction(info.si_signo, &normal, nullptr);
  sigset_t self;
  sigemptyset(&self);
  sigaddset(&self, info.si_signo);
  sys::thread_sigmask(SIG_UNBLOCK, &self, nullptr);
  sys::queue_signal(sys::gettid(), info.si_signo, &info);
  ::raise(info.si_signo);
  sys::_exit(128 + info.si_signo);
}

void on_crash(int signal, siginfo_t* info, void* context) {
  // A process that the worker forked, or a vfork's child that still borrows our memory.
  if (sys::getpid() != here.owner) die(*info);
  pid_t who = 0;
  if (!dying.compare_exchange_strong(who, sys::gettid())) {
    // Another thread's crash while the first is being noted: it ends us both. But a fault in here,
    // or the clock, ends the noting: what was found stands there.
    while (who != sys::gettid() && signal != SIGALRM) sys::pause();
    die(first);
  }
  first = *info;
  struct ::sigaction clock {};
  clock.sa_sigaction = on_crash;
  clock.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
  sys::sigaction(SIGALRM, &clock, nullptr);
  sigset_t alarm;
  sigemptyset(&alarm);
  sigaddset(&alarm, SIGALRM);
  sys::thread_sigmask(SIG_UNBLOCK, &alarm, nullptr);
  sys::alarm(most_seconds);

  shm::crash& to = *here.to;
  to.code = info->si_code;
  if (info->si_code > 0)
    to.address = reinterpret_cast<std::uintptr_t>(info->si_addr);
  else
    to.sender = info->si_pid;
  to.signal.store(static_cast<std::uint32_t>(signal), std::memory_order_release);
  if (signal == SIGABRT) note_abort_message();
  note_stack(*info, *static_cast<ucontext_t*>(context));
  die(first);
}

[[noreturn]] void on_terminate() {
  if (sys::getpid() == here.owner && !terminating.test_and_set()) note_exception();
  here.before();
  std::abort();
}

void give_alternate_stack() {
  const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  const auto least = static_cast<std::size_t>(std::max(0L, ::sysconf(_SC_SIGSTKSZ)));
  const std::size_t size = (std::max(least, std::size_t{64} << 10) + page - 1) / page * page;
  // Never given back: the thread lives as long as the process. Below it a page that nobody has.
  void* memory = sys::check(sys::mmap(nullptr, page + size, PROT_READ | PROT_WRITE,
                                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0),
                            "mmap of a signal stack");
  sys::check(sys::mprotect(memory, page, PROT_NONE), "mprotect of a signal stack");
  stack_t stack{};
  stack.ss_sp = static_cast<std::byte*>(memory) + page;
  stack.ss_size = size;
  sys::check(sys::sigaltstack(&stack, nullptr), "sigaltstack");
}

}  // namespace

void look_up_unwinder() {
  if (&dlvsym != nullptr)
    here.said =
        static_cast<abort_message* const*>(::dlvsym(RTLD_DEFAULT, "__abort_msg", "GLIBC_PRIVATE"));
  _Unwind_Backtrace(
      [](_Unwind_Context* frame, void*) {
        int exact = 0;
        static_cast<void>(_Unwind_GetIPInfo(frame, &exact) + _Unwind_GetRegionStart(frame));
        return _URC_END_OF_STACK;
      },
      nullptr);
}

void handle_crashes() {
  static_cast<void>(base::find({}));  // the modules' table, which no handler could make
  give_alternate_stack();
  struct ::sigaction action {};
  action.sa_sigaction = on_crash;
  // Not deferred: a fault in the handler comes back to the handler.
  action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
  for (const int signal : crash_signals) {
    struct ::sigaction now {};
    sys::check(sys::sigaction(signal, nullptr, &now), "sigaction");
    if ((now.sa_flags & SA_SIGINFO) == 0 && now.sa_handler == SIG_DFL)
      sys::check(sys::sigaction(signal, &action, nullptr), "sigaction");
  }
  // A worker forked by a worker, of a pool in a pool, comes with ours in place.
  if (const auto before = std::set_terminate(on_terminate); before != on_terminate)
    here.before = before;
}

void note_crashes(shm::crash& to, const void* outermost) noexcept {
  here.to = &to;
  here.outermost = reinterpret_cast<std::uintptr_t>(outermost);
  here.owner = sys::getpid();
}

}  // namespace procpool::local
