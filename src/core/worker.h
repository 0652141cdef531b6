// SPDX-License-Identifier: MIT
// A worker's whole life over a link: initializer, then receive, call, answer, until it is told to
// leave. Runs on the worker's only thread; what the user's code throws ends here, as an item's
// outcome.
#pragma once

#include <cstdint>
#include <optional>

#include "base/entry.h"
#include "core/context.h"
#include "procpool/detail/batch.h"

namespace procpool::core {

/// The worker's side of a channel.
class link {
 public:
  struct task {
    base::token entry;
    std::uint64_t type;
    detail::task_run* run;
  };
  /// The next task; at most `quota` of its items can be claimed. Nothing: leave.
  virtual std::optional<task> receive(std::uint32_t quota) = 0;
  /// Items of the task at hand that will run nowhere else.
  [[nodiscard]] virtual std::uint32_t taken() const = 0;
  /// True: the worker leaves after it, because it `retires`, or for the memory that it has.
  [[nodiscard]] virtual bool answer(bool retires) = 0;
  /// Instead of the first receive(): the initializer is done; or failed, with its error record.
  virtual void ready() = 0;
  virtual void failed(std::span<const std::byte> error) = 0;

 protected:
  ~link() = default;
};

/// Runs a task that arrived with this entry; where the entry is not to be found, every item fails.
void run_task(const base::token& entry, std::uint64_t type, detail::task_run& run);

/// The two ends of a worker's life. `call` may be null: there is none.
/// Keeps what the call returns in `here`. Nothing: it ended well; else the error record of what it
/// threw.
std::optional<std::vector<std::byte>> initialize(context& here, const detail::encoded_call* call);
/// Makes the call, whatever comes of it, then destroys the worker's state.
void finalize(context& here, const detail::encoded_call* call);

/// What a worker does but run tasks.
struct life {
  const detail::encoded_call* initializer = nullptr;  // or null
  const detail::encoded_call* finalizer = nullptr;    // or null
  std::uint32_t quota = 0;                            // items after which it leaves; 0: never
};
/// Returns when the process should end.
void work(link& parent, context& here, const life& plan);

}  // namespace procpool::core
