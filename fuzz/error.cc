// SPDX-License-Identifier: MIT
// What a worker wrote of an exception, made one again: always some exception, which can be looked
// at, thrown, and sent on by a worker that has a pool of its own.
#include <cstdint>
#include <exception>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "errors.h"
#include "input.h"
#include "procpool/exception.h"

namespace procpool::fuzz {

/// Known by its user's word: made again of a text and what else there is.
struct registered : std::runtime_error {
  registered(const std::string& what, std::vector<std::string> all)
      : std::runtime_error(what), words(std::move(all)) {
    if (words.size() == 3) throw std::invalid_argument("three words are none");
  }
  std::vector<std::string> words;
};
PROCPOOL_EXCEPTION(registered, e.what(), e.words);

}  // namespace procpool::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace procpool::fuzz;
  const auto bytes = input(data, size).rest();
  const std::exception_ptr error = procpool::detail::decode_error(bytes, 4321);
  look_at(error, bytes.size());
  procpool::detail::vector_writer out;
  procpool::core::encode_error(out, error);
  const auto sent = out.take();
  look_at(procpool::detail::decode_error(sent, 1234), sent.size());
  return 0;
}
