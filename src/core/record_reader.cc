// SPDX-License-Identifier: MIT
// A reply taken apart. Its bytes were written by a worker that may have been corrupted: a record is
// handed out only once its header has been copied and every number in it held against a bound.
#include <string>

#include "procpool/detail/batch.h"

namespace procpool::detail {
namespace {

[[noreturn]] void nonsense(const std::string& what) {
  throw serialization_error("procpool: a worker's reply makes no sense: " + what);
}

}  // namespace

// A reply of which no item is done may have no fixed part yet (a worker that died at once), and no
// record in it could count: its bytes are not looked at.
record_reader::record_reader(const reply& r, std::size_t stride)
    : fixed_(r.bytes.data()),
      in_(r.bytes.data(), r.done == 0 ? 0 : r.bytes.size()),
      done_(r.done),
      count_(r.count) {
  if (done_ == 0) return;
  if (done_ > r.count) nonsense("it holds more items than the task had");
  std::size_t size = 0;
  if (__builtin_mul_overflow(std::size_t{r.count}, stride, &size)) reader::too_short();
  fixed_ = in_.take(size);
}

bool record_reader::next(record& r) {
  // Padding stands before each record and may stand behind the last.
  if (in_.left() != 0) in_.align(record_alignment);
  if (in_.left() == 0) return false;
  record_header header;
  in_.raw(&header, sizeof header);
  if (header.kind != record_kind::value && header.kind != record_kind::error)
    nonsense("a record of unknown kind");
  // A worker that died between writing an item and saying so left the item's record: the end.
  if (header.index == done_ && done_ < count_) return false;
  if (header.index >= done_) nonsense("a record of an item that did not run");
  if (header.index < least_) nonsense("records out of order");
  least_ = header.index + 1;
  r = {header.index, header.kind, {in_.take(header.size), static_cast<std::size_t>(header.size)}};
  return true;
}

}  // namespace procpool::detail
