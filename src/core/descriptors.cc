// SPDX-License-Identifier: MIT
#include "core/descriptors.h"

#include <memory>
#include <utility>

#include "core/context.h"
#include "procpool/detail/descriptor.h"
#include "procpool/fd.h"

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
    auto copy = std::make_shared<core::attached_descriptor>(fd::copy_of(value.get()));
    place = static_cast<std::uint32_t>(out.attach(std::move(copy))) + 1;
  }
  out.raw(&place, sizeof place);
}

fd read_descriptor(reader& in) {
  std::uint32_t place = 0;
  in.raw(&place, sizeof place);
  if (place == 0) return {};
  core::context* here = core::current_context();
  if (here == nullptr || here->descriptors == nullptr) core::no_such_descriptor();
  fd got = here->descriptors->fetch(place - 1);
  return got.get() < base::above_stdio ? fd::copy_of(got.get()) : std::move(got);
}

}  // namespace procpool::detail
