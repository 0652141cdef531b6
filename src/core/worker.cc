// SPDX-License-Identifier: MIT
#include "core/worker.h"

#include <stdio_ext.h>

#include <cstdio>
#include <iostream>
#include <limits>

#include "base/step.h"
#include "core/context.h"
#include "core/failure.h"
#include "core/local_run.h"

namespace procpool::detail {

void task_run::fail(std::uint32_t k, stage where, std::size_t before) {
  std::exception_ptr error = std::current_exception();
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
  out_->truncate(before);
  std::size_t at = open_record(*out_, k, record_kind::error);
  core::encode_error(*out_, error);
  close_record(*out_, at);
}

}  // namespace procpool::detail

namespace procpool::core {
namespace {

// What a task printed is seen when its result is, not when a buffer happens to be full.
void flush_output() {
  if (::__fpending(stdout) != 0) std::fflush(stdout);
  std::cout.flush();
}

void fail_all(detail::task_run& run, const char* why) {
  std::uint32_t from = 0;
  std::uint32_t to = 0;
  while (run.claim(from, to)) {
    for (std::uint32_t k = from; k < to; ++k) {
      run.starting(k);
      try {
        throw serialization_error(why);
      } catch (...) {
        run.fail(k, detail::stage::decoding, run.out().size());
      }
      run.finished(k);
    }
  }
}

}  // namespace

void run_task(const base::token& entry, std::uint64_t type, detail::task_run& run) {
  const detail::entry_point* code = base::find_entry(entry, type);
  if (code != nullptr) {
    code->run(run);
  } else {
    fail_all(run,
             "procpool: the function lives in a library that this worker does not have: it was "
             "loaded after the pool was made");
  }
}

std::optional<std::vector<std::byte>> run_call(const detail::encoded_call& call) {
  local_run run(call.bytes, 0, 1);
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

void work(link& parent, const detail::encoded_call* initializer, std::uint32_t quota) {
  if (initializer != nullptr) {
    PROCPOOL_STEP("worker: before the initializer");
    auto error = run_call(*initializer);
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
  std::uint32_t left = quota == 0 ? std::numeric_limits<std::uint32_t>::max() : quota;
  context* here = current_context();
  for (;;) {
    auto task = parent.receive(left);
    if (!task) return;
    if (here != nullptr) here->values.tidy();
    run_task(task->entry, task->type, *task->run);
    flush_output();
    PROCPOOL_STEP("worker: items run, reply not written");
    if (quota != 0) left -= parent.claimed();
    parent.answer(left == 0);
    if (left == 0) return;
  }
}

}  // namespace procpool::core
