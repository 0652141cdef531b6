// SPDX-License-Identifier: MIT
// What a fresh worker does, from its window to its last task. Runs in the worker.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/fd.h"
#include "process/zygote.h"
#include "procpool/detail/batch.h"
#include "procpool/options.h"
#include "shm/segment.h"

namespace procpool::local {

/// A call made beforehand; or null.
using call = std::shared_ptr<const detail::encoded_call>;

struct child_options {
  call initializer;
  std::uint32_t quota = 0;
  call finalizer;
  bool crash_traces = true;
  std::size_t most_memory = 0;  // of its own, resident, after which it leaves; 0: any
  worker_limits limits = {};
};

/// What this process has not loaded is looked up in the parent's list from now on. Keeps a
/// reference.
void hear_of_modules(const shm::segment& memory) noexcept;

/// A name that a process calls for the first time the loader looks up, in tables of all libraries:
/// here, for the first of this process's pools, or in each of its zygotes or workers anew.
void look_names_up();

/// What live() begins with that is the same in every worker: once before it, in this process or in
/// the zygote that it was forked from. Throws std::system_error.
void prepare_to_live(const child_options& options);

/// A worker's life: returns when it should end. `given`: the eventfd that wakes the parent for it,
/// and the socket by which descriptors come from there.
void live(shm::segment& memory, process::gifts given, std::uint32_t worker,
          const child_options& options);

/// Instead: tells the parent why there is no worker, in a handler of that exception.
void fail_to_live(shm::segment& memory, base::fd bell, std::uint32_t worker);

}  // namespace procpool::local
