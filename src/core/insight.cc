// SPDX-License-Identifier: MIT
// What the engine tells by itself or when asked: pool::stats(), pool::workers(), and errors that
// nobody gets.
#include <algorithm>
#include <optional>

#include "core/engine.h"
#include "procpool/error.h"

namespace procpool::core {

// ---- stats and workers --------------------------------------------------------------------------

pool_stats engine::stats() const {
  check_process();
  guard l(*this);
  std::size_t held = 0;
  for (worker_id w = 0; w < graves_.size(); ++w)
    for (const task_id t : scheduler_.held_by(w)) held += scheduler_[t].count - told_of(t);
  return ledger_.stats(held);
}

std::vector<worker_info> engine::workers() const {
  check_process();
  guard l(*this);
  std::vector<worker_info> all;
  for (worker_id w = 0; w < backend_->workers(); ++w)
    if (const auto process = backend_->process_of(w)) all.push_back(describe(w, *process));
  return all;
}

worker_info engine::describe(worker_id worker, const worker_process& process) const {
  worker_info info;
  info.place = static_cast<int>(worker);
  info.pid = process.pid;
  info.state = state_of(worker, process.at);
  info.since = scheduler_.busy_since(worker);
  info.answered = ledger_.of(worker).answered;
  info.busy = ledger_.of(worker).busy;
  for (const task_id t : scheduler_.held_by(worker)) info.holds += scheduler_[t].count;
  if (info.holds != 0) describe_item(worker, info);
  return info;
}

worker_state engine::state_of(worker_id worker, worker_process::stage at) const {
  if (!at_work()) return worker_state::stopping;
  if (at == worker_process::stage::starting) return worker_state::starting;
  if (stops_.of(worker) != nullptr) return worker_state::stopping;
  if (at == worker_process::stage::leaving) return worker_state::leaving;
  return scheduler_.is_free(worker) ? worker_state::idle : worker_state::busy;
}

// What a worker is at is its own word: taken for one of the tasks that it holds, or not at all.
void engine::describe_item(worker_id worker, worker_info& info) const {
  const std::vector<task_id> holds = scheduler_.held_by(worker);
  const auto at = backend_->look(worker);
  const bool known = at && std::find(holds.begin(), holds.end(), at->task) != holds.end();
  const task_id id = known ? at->task : holds.front();
  const scheduler::task& t = scheduler_[id];
  if (t.count == 0) return;  // taken back whole
  const call_record& c = calls_[t.call];
  const std::uint32_t item = known ? std::min(at->item, t.count - 1) : 0;
  info.function = c.entry->name;
  info.index = place_of(t.call, t.first + item);
  if (known && at->running && timeout_of(id).count() != 0) info.since = at->since;
}

// ---- errors that nobody gets --------------------------------------------------------------------

namespace {

/// By cancel() or terminate() here; what a task has thrown comes with its remote_info.
bool brought_about_by_caller(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const task_cancelled& e) {
    return remote_info::of(e) == nullptr;
  } catch (const pool_terminated& e) {
    return remote_info::of(e) == nullptr;
  } catch (...) {
    return false;
  }
}

}  // namespace

bool engine::reports_unobserved() const noexcept {
  return options_.on_unobserved && options_.own_process();
}

void engine::drop(detail::completion& what, std::unique_ptr<detail::continuation> report) {
  {
    guard l(*this);
    if (stop_) return;
    report = attach(what, std::move(report));
  }
  if (report) report->run();
}

void engine::unobserved(const std::exception_ptr& error) const noexcept {
  try {
    if (!brought_about_by_caller(error)) options_.on_unobserved(error);
  } catch (...) {  // NOLINT(bugprone-empty-catch): there is nobody to tell
  }
}

}  // namespace procpool::core
