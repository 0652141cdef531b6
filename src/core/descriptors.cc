// SPDX-License-Identifier: MIT
#include "core/descriptors.h"

#include <memory>

#include "base/sys.h"
#include "core/context.h"
#include "procpool/detail/descriptor.h"
#include "procpool/fd.h"

namespace procpool {

fd fd::copy_of(int number) {
  return fd(sys::check(sys::dup_cloexec(number), "fcntl(F_DUPFD_CLOEXEC)"));
}

void fd::reset(int number) noexcept { base::fd(std::exchange(number_, number)).reset(); }

}  // namespace procpool

namespace procpool::core {

void no_such_descriptor() {
  throw serialization_error("procpool: there is no such descriptor among the task's arguments");
}

}  // namespace procpool::core

namespace procpool::detail {

// One more than its number in the message; 0: it is empty.
void write_descriptor(writer& out, const fd& value) {
  std::uint32_t place = 0;
  if (value) {
    base::fd copy(
        sys::check(sys::dup_cloexec(value.get()), "fcntl(F_DUPFD_CLOEXEC) of an argument"));
    place = static_cast<std::uint32_t>(
                out.attach(std::make_shared<core::attached_descriptor>(std::move(copy)))) +
            1;
  }
  out.raw(&place, sizeof place);
}

fd read_descriptor(reader& in) {
  std::uint32_t place = 0;
  in.raw(&place, sizeof place);
  if (place == 0) return {};
  core::context* here = core::current_context();
  if (here == nullptr || here->descriptors == nullptr) core::no_such_descriptor();
  return fd(here->descriptors->fetch(place - 1).release());
}

}  // namespace procpool::detail
