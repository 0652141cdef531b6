// SPDX-License-Identifier: MIT
// Everything, as a table of contents.
#pragma once

#include "procpool/await.h"        // co_await
#include "procpool/codec.h"        // how a value becomes bytes; sendable
#include "procpool/error.h"        // what can go wrong
#include "procpool/exception.h"    // exception types of your own, there and back
#include "procpool/future.h"       // an async_result as a std::future
#include "procpool/init.h"         // for forkserver and spawn
#include "procpool/options.h"      // pool_options, task_options, task
#include "procpool/pool.h"         // pool
#include "procpool/result.h"       // async_result, result_stream, outcome
#include "procpool/stacktrace.h"   // where another process was
#include "procpool/this_worker.h"  // what a task can ask about its worker
#include "procpool/wait.h"         // waiting for several results
