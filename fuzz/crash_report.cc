// SPDX-License-Identifier: MIT
// A worker's last words, which may be anything: what its parent tells of its death is read inside
// the window, fits one line, and contradicts nothing that the kernel said.
#include <sys/wait.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <memory>
#include <span>

#include "input.h"
#include "local/autopsy.h"
#include "program.h"
#include "shm/crash.h"

namespace {

using procpool::fuzz::input;
using procpool::fuzz::require;
namespace shm = procpool::shm;

/// Writes over the object's bytes: some here, some there.
template <class T>
void scribble(T& over, input& in) {
  const auto bytes = std::as_writable_bytes(std::span(&over, 1));
  const std::uint32_t pieces = in.below(16);
  for (std::uint32_t i = 0; i < pieces; ++i) {
    const std::size_t at = in.number<std::uint16_t>() % sizeof over;
    in.fill(bytes.data() + at, std::min<std::size_t>(in.below(256), sizeof over - at));
  }
  procpool::fuzz::name_program(bytes);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static procpool::base::oom_watch nobody("/no/such/file");
  constexpr int pid = 77;
  input in(data, size);
  const auto last = std::make_unique<shm::crash>();
  const auto printed = std::make_unique<shm::stderr_ring>();
  const int status = in.number<std::uint16_t>();
  const bool with_names = in.below(4) == 0;
  last->signal = in.below(70);
  last->frames = in.below(66);
  last->type_size = in.number<std::uint16_t>();
  last->text_size = in.number<std::uint16_t>();
  printed->end = in.number<std::uint64_t>();
  scribble(*last, in);
  scribble(*printed, in);

  const auto known = procpool::local::examine(pid, status, {}, *last, *printed, nobody);
  require(known->stack.size() <= std::size(last->stack), "a stack fits its room");
  require(known->exception.type.size() <= sizeof last->type, "a type fits its room");
  require(known->exception.text.size() <= sizeof last->text, "a text fits its room");
  require(known->stderr_tail.size() <= sizeof printed->bytes, "what was printed fits its room");
  require(!known->fault_address || WIFSIGNALED(status), "what was not killed had no fault");
  const procpool::worker_died e(pid, status, 3, known);
  require(e.signal() == (WIFSIGNALED(status) ? WTERMSIG(status) : 0),
          "the kernel knows the signal");
  for (const char* c = e.what(); *c != '\0'; ++c)
    require(static_cast<unsigned char>(*c) >= ' ', "what() is one line");
  if (with_names) require(e.stack().frames().size() == e.stack().size(), "each place is described");
  return 0;
}
