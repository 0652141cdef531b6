// SPDX-License-Identifier: MIT
// Open descriptors among a task's arguments: attached to the parcel in the process that submits,
// fetched one by one where the task is decoded.
#pragma once

#include <cstdint>
#include <utility>

#include "base/fd.h"
#include "procpool/detail/buffer.h"

namespace procpool::core {

/// A copy of an argument's descriptor, open as long as the parcel is kept.
class attached_descriptor final : public detail::attachment {
 public:
  explicit attached_descriptor(base::fd copy) noexcept : copy_(std::move(copy)) {}
  [[nodiscard]] int descriptor() const noexcept override { return copy_.get(); }

 private:
  base::fd copy_;
};

/// Where the descriptors of the task at hand come from, in the process that runs it.
class descriptor_source {
 public:
  /// A copy, close-on-exec, of what is attached under that number. Throws serialization_error when
  /// no descriptor is; std::system_error.
  virtual base::fd fetch(std::uint32_t number) = 0;

 protected:
  ~descriptor_source() = default;
};

[[noreturn]] void no_such_descriptor();  ///< throws serialization_error

}  // namespace procpool::core
