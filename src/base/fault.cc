// SPDX-License-Identifier: MIT
#include "base/fault.h"

#ifdef PROCPOOL_FAULTS

#include <atomic>
#include <cerrno>

#include "base/tally.h"

namespace procpool::base::fault {
namespace {

constexpr const char* where = "PROCPOOL_FAULTS_AT";
std::atomic<tally*> table{tally::inherited(where)};  // set once, by the first reset()

}  // namespace

bool strikes(const char* call) noexcept {
  tally* t = table.load(std::memory_order_acquire);
  // Counting itself must not disturb the errno a caller saved around a call.
  int error = 0;
  if (t == nullptr || !t->hit(call, error)) return false;
  errno = error;
  return true;
}

void reset() {
  if (table.load() == nullptr) table.store(tally::create(where));
  if (tally* t = table.load(); t != nullptr) t->reset();
}

std::vector<count> counts() {
  std::vector<count> all;
  if (tally* t = table.load(); t != nullptr)
    for (tally::count& c : t->counts()) all.push_back({std::move(c.name), c.hits});
  return all;
}

void arm(const char* call, std::uint64_t nth, int error, std::uint64_t times) noexcept {
  if (tally* t = table.load(); t != nullptr) t->arm(call, nth, error, times);
}

bool fired() noexcept {
  const tally* t = table.load();
  return t != nullptr && t->fired();
}

}  // namespace procpool::base::fault

#endif
