// SPDX-License-Identifier: MIT
#include "base/step.h"

#ifdef PROCPOOL_STEPS

#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>

#include "base/tally.h"

namespace procpool::base::step {
namespace {

constexpr const char* where = "PROCPOOL_STEPS_AT";
std::atomic<tally*> table{tally::inherited(where)};  // set once, by the first enable()

}  // namespace

void enable() {
  if (table.load() == nullptr) table.store(tally::create(where));
  if (tally* t = table.load(); t != nullptr) t->reset();
}

void arm(const char* name, std::uint64_t nth) noexcept {
  if (tally* t = table.load(); t != nullptr) t->arm(name, nth, 0);
}

bool fired() noexcept {
  const tally* t = table.load();
  return t != nullptr && t->fired();
}

std::vector<count> list() {
  std::vector<count> all;
  if (tally* t = table.load(); t != nullptr)
    for (tally::count& c : t->counts()) all.push_back({std::move(c.name), c.hits});
  return all;
}

void hit(const char* name) noexcept {
  tally* t = table.load(std::memory_order_acquire);
  int unused = 0;
  // SIGKILL of oneself is delivered before kill returns: not one more instruction of the caller
  // runs.
  if (t != nullptr && t->hit(name, unused)) ::kill(::getpid(), SIGKILL);
}

}  // namespace procpool::base::step

#endif
