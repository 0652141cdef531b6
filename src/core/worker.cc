// SPDX-License-Identifier: MIT
#include "core/worker.h"

#include <stdio_ext.h>
#include <ext/stdio_sync_filebuf.h>

#include <chrono>
#include <cstdio>
#include <iostream>
#include <limits>
#include <new>
#include <typeinfo>
#include <utility>

#include "base/modules.h"
#include "base/monotonic.h"
#include "base/step.h"
#include "core/context.h"
#include "core/failure.h"
#include "core/local_run.h"
#include "core/throw_point.h"

namespace procpool::detail {

// The same clock as the parent's: CLOCK_MONOTONIC is the machine's.
void task_run::note_time() noexcept { since_->store(base::monotonic(), std::memory_order_relaxed); }

void task_run::finished_call(std::uint32_t k) noexcept {
  if (before_telling_ != nullptr) before_telling_();
  note_finished(k);
  tell();
}

// Not inlined: where it was entered is where the handler's frame ends.
[[gnu::noinline]] void task_run::fail(std::uint32_t k, stage where, std::size_t before) {
  const std::exception_ptr thrown = std::current_exception();
  const auto record = [&](const auto& encode) {
    out_->truncate(before);
    const std::size_t at = open_record(*out_, k, record_kind::error);
    encode();
    close_record(*out_, at);
  };
  try {
    const std::vector<place> places = core::take_throw_point(thrown, __builtin_dwarf_cfa());
    std::exception_ptr error = thrown;
    if (where != stage::calling) {
      try {
        throw;
      } catch (const serialization_error&) {  // says what is wrong itself
      } catch (...) {
        error = nest(serialization_error(where == stage::decoding
                                             ? "procpool: decoding an argument threw in the worker"
                                             : "procpool: encoding the result threw in the worker"),
                     error);
      }
    }
    record([&] { core::encode_error(*out_, error, {thrown, places}); });
  } catch (const std::bad_alloc&) {  // no memory to say what it was: that is what is said
    record([&] { core::encode_bad_alloc(*out_); });
  }
}

}  // namespace procpool::detail

namespace procpool::core {
namespace {

/// std::cout as it is until the user says otherwise: it passes all on to stdout at once.
bool holds_nothing(const std::ostream& out) {
  using synchronized = __gnu_cxx::stdio_sync_filebuf<char>;
  std::streambuf* const buffer = out.rdbuf();
  return buffer != nullptr && typeid(*buffer) == typeid(synchronized) &&
         static_cast<synchronized*>(buffer)->file() == stdout;
}

// What a task printed is seen when its result is, not when a buffer happens to be full.
void flush_output() {
  if (!holds_nothing(std::cout)) std::cout.flush();
  if (::__fpending(stdout) != 0) std::fflush(stdout);
}

void fail_all(detail::task_run& run, const char* why) {
  std::uint32_t from = 0;
  std::uint32_t to = 0;
  while (run.claim(from, to)) {
    for (std::uint32_t k = from; k < to; ++k) {
      if (!run.starts(k)) return;
      try {
        throw serialization_error(why);
      } catch (...) {
        run.fail(k, detail::stage::decoding, run.out().size());
      }
      run.finished(k);
    }
  }
}

/// Makes a call that was encoded beforehand. Nothing: it ended well; else the error record of what
/// it threw.
std::optional<std::vector<std::byte>> run_call(const detail::encoded_call& call,
                                               detail::kept_result* keep_in) {
  local_run run(call.bytes, 0, 1, keep_in);
  call.entry->run(run);
  std::vector<std::byte> bytes = run.take_reply();
  detail::reply reply;
  reply.count = reply.done = 1;
  reply.bytes = bytes;
  detail::record_reader records(reply, 0);
  detail::record_reader::record record{};
  if (records.next(record) && record.kind == detail::record_kind::error)
    return std::vector<std::byte>(record.bytes.begin(), record.bytes.end());
  return std::nullopt;
}

void begin_an_item(detail::task_run& run) {
  std::uint32_t from = 0;
  std::uint32_t to = 0;
  if (run.claim(from, to)) static_cast<void>(run.starts(from));
}

void run_tasks(link& parent, context& here, std::uint32_t quota) {
  std::uint32_t left = quota == 0 ? std::numeric_limits<std::uint32_t>::max() : quota;
  for (;;) {
    auto task = parent.receive(left);
    if (!task) return;
    here.values.tidy();
    try {
      call_count::task counted(here.calls, task->run->progress());
      task->run->before_telling(flush_output);
      run_task(task->entry, task->type, *task->run);
    } catch (const std::bad_alloc&) {
      if (parent.taken() != 0) throw;  // fail()'s: the worker ends under that item
      // There was no memory for the results. Where earlier tasks have used it up, another worker
      // has some. In one that is as good as new an item must be blamed, or it would go on for ever.
      if (here.calls.now() == 0) {
        begin_an_item(*task->run);
        throw;
      }
      left = 0;
    }
    flush_output();
    PROCPOOL_STEP("worker: items run, reply not written");
    if (quota != 0) left -= parent.taken();
    if (parent.answer(left == 0)) return;
  }
}

}  // namespace

void run_task(const base::token& entry, std::uint64_t type, detail::task_run& run) {
  const detail::entry_point* code = base::find_entry(entry, type);
  if (code == nullptr) {
    try {
      base::load_module(entry.module);
    } catch (const std::exception& e) {
      fail_all(run, e.what());
      return;
    }
    code = base::find_entry(entry, type);
  }
  if (code != nullptr)
    code->run(run);
  else
    fail_all(run, "procpool: what should be the call's code in this worker is something else");
}

std::optional<std::vector<std::byte>> initialize(context& here, const detail::encoded_call* call) {
  if (call == nullptr) return std::nullopt;
  detail::kept_result made;
  auto error = run_call(*call, &made);
  if (!error) here.keep(std::move(made));
  return error;
}

void finalize(context& here, const detail::encoded_call* call) {
  if (call != nullptr) static_cast<void>(run_call(*call, nullptr));
  here.drop_state();
}

void work(link& parent, context& here, const life& plan) {
  if (plan.initializer != nullptr) {
    PROCPOOL_STEP("worker: before the initializer");
    auto error = initialize(here, plan.initializer);
    flush_output();
    PROCPOOL_STEP("worker: after the initializer");
    if (error) {
      parent.failed(*error);
      return;
    }
  }
  PROCPOOL_STEP("worker: before ready");
  parent.ready();
  PROCPOOL_STEP("worker: after ready");
  run_tasks(parent, here, plan.quota);
  PROCPOOL_STEP("worker: before the finalizer");
  finalize(here, plan.finalizer);
  flush_output();
  PROCPOOL_STEP("worker: after the finalizer");
}

}  // namespace procpool::core
