// SPDX-License-Identifier: MIT
// Values that lie in shared memory once, where every worker of a pool reads them: behind bind() and
// pool.share().
//
// The parent alone writes them; a worker maps them read-only and finds them by name. Who asks for a
// value that is gone, or was never there, is told so: names are checked against what lies there.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <type_traits>

#include "procpool/detail/buffer.h"

namespace procpool::detail {

/// What a worker needs to find a value. As bytes it means the same in every process.
struct published_name {
  std::uint64_t id = 0;  ///< of this value and no other; 0: none
  std::uint64_t at = 0;  ///< where it lies, as the backend counts
  friend bool operator==(const published_name&, const published_name&) = default;
};
static_assert(std::is_trivially_copyable_v<published_name>);

/// The bytes begin at a multiple of this.
inline constexpr std::size_t published_alignment = 64;

/// Owns one value in the parent: its end takes the value back. Whoever sends tasks that read it
/// holds it until none of them can run any more. Must not outlive the engine that made it.
class published : public attachment {
 public:
  [[nodiscard]] const published_name& name() const noexcept { return name_; }
  /// As writer::home: of the messages that may name it.
  [[nodiscard]] const void* home() const noexcept { return home_; }

 protected:
  explicit published(const published_name& name, const void* home = nullptr) noexcept
      : name_(name), home_(home) {}

 private:
  published_name name_;
  const void* home_;
};

/// Writes a value's bytes, once, on the calling thread.
using published_writer = std::function<void(writer&)>;

// ---- in a task ----------------------------------------------------------------------------------

/// The bytes of a value, in place. They stay for as long as the task that was sent with the name
/// runs. Throws std::logic_error outside a task, procpool::error when no value of that type and
/// name is there.
std::span<const std::byte> find_published(const published_name& name, std::uint64_t type);

/// What make() builds of the bytes: once in this process, then the same object again. It lives
/// until the first task after the value was taken back. From any thread; make() runs without a
/// lock.
using published_maker = std::shared_ptr<const void> (*)(std::span<const std::byte>);
const void* decode_published(const published_name& name, std::uint64_t type, published_maker make);

}  // namespace procpool::detail
