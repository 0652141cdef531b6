// SPDX-License-Identifier: MIT
// A task that runs in this process: its claims meet nobody, its reply is plain memory.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "core/heap_vectors.h"
#include "procpool/detail/batch.h"

namespace procpool::core {

class local_run final : public detail::task_run {
 public:
  local_run(std::span<const std::byte> parcel, std::uint32_t first, std::uint32_t count,
            detail::kept_result* keep_in = nullptr, const void* home = nullptr)
      : reply_(home) {
    kept_ = keep_in;
    parcel_ = parcel;
    first_ = first;
    count_ = count;
    out_ = &reply_;
    progress_ = &progress_word_;
    written_ = &written_word_;
  }
  bool claim(std::uint32_t& from, std::uint32_t& to) override {
    if (claimed_) return false;
    claimed_ = true;
    from = 0;
    to = count_;
    return count_ != 0;
  }
  [[nodiscard]] std::uint32_t done() const noexcept { return progress_word_.load() / 2; }
  std::vector<std::byte> take_reply() { return reply_.take(); }
  std::unique_ptr<given_vectors> take_vectors() noexcept { return reply_.take_vectors(); }

 private:
  local_reply reply_;
  std::atomic<std::uint32_t> progress_word_{0};
  std::atomic<std::uint64_t> written_word_{0};
  bool claimed_ = false;
};

}  // namespace procpool::core
