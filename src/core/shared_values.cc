// SPDX-License-Identifier: MIT
#include "core/shared_values.h"

#include <algorithm>
#include <stdexcept>
#include <utility>
#include <vector>

#include "core/context.h"
#include "core/record.h"
#include "procpool/error.h"

namespace procpool::core {

// Null data: nothing of that name and type is there.
std::span<const std::byte> shared_values::look(const detail::published_name& name,
                                               std::uint64_t type) const {
  if (name.id == 0 || name.at % alignof(record) != 0) return {};
  const std::span<const std::byte> there = find_(name.at);
  if (there.size() < record_head) return {};
  const auto* head = reinterpret_cast<const record*>(there.data());
  if (head->id.load(std::memory_order_relaxed) != name.id) return {};
  if (head->type != type || head->size > there.size() - record_head) return {};
  return there.subspan(record_head, head->size);
}

std::span<const std::byte> shared_values::find(const detail::published_name& name,
                                               std::uint64_t type) const {
  const std::span<const std::byte> bytes = look(name, type);
  if (bytes.data() == nullptr)
    throw error(
        "procpool: this shared value is not there: it was unshared before this task was submitted, "
        "or it belongs to another pool");
  return bytes;
}

const void* shared_values::decode(const detail::published_name& name, std::uint64_t type,
                                  detail::published_maker make) {
  {
    std::lock_guard hold(mutex_);
    const auto known = decoded_.find(name.id);
    if (known != decoded_.end() && known->second.at == name.at && known->second.type == type)
      return known->second.object.get();
  }
  decoded fresh{name.at, type, make(find(name, type))};
  std::lock_guard hold(mutex_);
  // Where two threads decode at once, the first to come here is right.
  return decoded_.try_emplace(name.id, std::move(fresh)).first->second.object.get();
}

void shared_values::drop_withdrawn() noexcept {
  seen_ = withdrawn_.load(std::memory_order_acquire);
  // Destructors of the user's run without the lock.
  for (;;) {
    std::shared_ptr<const void> gone;
    std::lock_guard hold(mutex_);
    const auto found = std::find_if(decoded_.begin(), decoded_.end(), [this](const auto& d) {
      return look({d.first, d.second.at}, d.second.type).data() == nullptr;
    });
    if (found == decoded_.end()) return;
    gone = std::move(found->second.object);
    decoded_.erase(found);
  }
}

}  // namespace procpool::core

namespace procpool::detail {
namespace {

core::shared_values& here() {
  core::context* c = core::current_context();
  if (c == nullptr)
    throw std::logic_error("procpool: a shared value can be read in a task of its pool only");
  return c->values;
}

}  // namespace

std::span<const std::byte> find_published(const published_name& name, std::uint64_t type) {
  return here().find(name, type);
}

const void* decode_published(const published_name& name, std::uint64_t type, published_maker make) {
  return here().decode(name, type, make);
}

}  // namespace procpool::detail
