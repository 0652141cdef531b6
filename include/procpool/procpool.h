// SPDX-License-Identifier: MIT
// Everything, as a table of contents.
#pragma once

#include "procpool/await.h"          // co_await
#include "procpool/bind.h"           // bind: state sent once a call
#include "procpool/by_bytes.h"       // by_bytes: the user's word
#include "procpool/codec.h"          // how a value becomes bytes; sendable
#include "procpool/error.h"          // what can go wrong
#include "procpool/exception.h"      // exception types of your own, there and back
#include "procpool/fd.h"             // fd: an open descriptor as an argument
#include "procpool/future.h"         // an async_result as a std::future
#include "procpool/indices.h"        // indices: numbers in a row
#include "procpool/init.h"           // for forkserver and spawn
#include "procpool/lift.h"           // PROCPOOL_LIFT: overload sets
#include "procpool/options.h"        // pool_options, task_options, task
#include "procpool/pool.h"           // pool
#include "procpool/result.h"         // async_result, result_stream, outcome
#include "procpool/shared.h"         // shared: values that every worker has
#include "procpool/shared_vector.h"  // shared_vector: elements that are passed on without a copy
#include "procpool/snapshot_map.h"   // snapshot_map: captures of any kind
#include "procpool/stacktrace.h"     // where another process was
#include "procpool/stats.h"          // what a pool has done, and what its workers are at
#include "procpool/this_worker.h"    // what a task can ask about its worker
#include "procpool/wait.h"           // waiting for several results
