// SPDX-License-Identifier: MIT
// Waiting for several results: which of them is there first, and which next.
//
// Results of one engine: whoever waits drives that engine, by waiting for one completion that turns
// ready whenever one of them does. Of several engines: their background threads drive, and notify.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "procpool/detail/batch.h"
#include "procpool/detail/engine.h"

namespace procpool::detail {

class watch;

/// One result in a watch.
struct watched {
  watch* owner;
  std::size_t index;
  std::shared_ptr<detail::engine> engine;
  std::shared_ptr<any_result> result;  // null: not watched any more
  watched* next = nullptr;             // of the same completion; guarded by the engine's lock
  watched* next_ready = nullptr;       // guarded by the watch's mutex
};

/// Used by one thread, but for came().
class watch {
 public:
  watch() = default;
  watch(const watch&) = delete;
  watch& operator=(const watch&) = delete;
  ~watch();

  /// The same result again is passed over. True: it is ready already.
  bool add(std::size_t index, std::shared_ptr<engine> of, std::shared_ptr<any_result> result);

  /// The next one that is ready, each once: those that were so from the beginning as they were
  /// added, then as they complete. Null: the deadline passed, or none is left.
  struct ready {
    std::size_t index;
    std::shared_ptr<any_result> result;
  };
  std::optional<ready> next(engine::clock::time_point deadline);

  /// Results that next() has not given, and all that there were.
  [[nodiscard]] std::size_t left() const noexcept { return left_; }
  [[nodiscard]] std::size_t size() const noexcept { return all_.size(); }

  /// From the engine, under its lock: it is ready. Returns what then turns ready, too, or null.
  completion* came(watched& w) noexcept;

 private:
  struct arrival final : completion {};
  watched* pop() noexcept;
  bool wait(engine::clock::time_point deadline);

  std::deque<watched> all_;
  std::vector<engine*> engines_;  // of all, each once
  std::size_t left_ = 0;

  std::mutex mutex_;
  // Guarded by mutex_, which is taken under an engine's lock, never the other way round:
  watched* first_ = nullptr;
  watched* last_ = nullptr;
  bool several_ = false;          // engines
  std::condition_variable came_;  // of several
  arrival arrived_;               // of the only one
};

}  // namespace procpool::detail
