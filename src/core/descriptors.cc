// SPDX-License-Identifier: MIT
#include "core/descriptors.h"

#include <memory>

#include "base/sys.h"
#include "core/context.h"
#include "procpool/detail/descriptor.h"
#include "procpool/fd.h"

namespace procpool {

fd fd::copy_of(int number) { return fd(core::copy_of(number).release()); }

void fd::reset(int number) noexcept { base::fd(std::exchange(number_, number)).reset(); }

}  // namespace procpool

namespace procpool::core {

base::fd copy_of(int number) {
  return base::fd(sys::check(sys::dup_cloexec(number, above_stdio), "fcntl(F_DUPFD_CLOEXEC)"));
}

void no_such_descriptor() {
  throw serialization_error("procpool: there is no such descriptor among the task's arguments");
}

}  // namespace procpool::core

namespace procpool::detail {

// One more than its number in the message; 0: it is empty.
void write_descriptor(writer& out, const fd& value) {
  std::uint32_t place = 0;
  if (value) {
    base::fd copy = core::copy_of(value.get());
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
  base::fd got = here->descriptors->fetch(place - 1);
  if (got.get() < core::above_stdio) got = core::copy_of(got.get());
  return fd(got.release());
}

}  // namespace procpool::detail
