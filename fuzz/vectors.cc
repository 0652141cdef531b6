// SPDX-License-Identifier: MIT
// A worker that says where its vectors lie, and writes over what it can reach: no two vectors that
// the parent holds ever meet, all lie in the window's results, and the next worker gives out none
// of them.
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <optional>
#include <utility>
#include <vector>

#include "channel_fixture.h"
#include "input.h"
#include "procpool/codec.h"
#include "shm/held_blocks.h"

namespace procpool::fuzz {
namespace {

constexpr std::size_t page = 4096;
constexpr std::size_t results_size = 32 * page;

class pages {
 public:
  /// These bytes' pages; they must be free, in the window, and the elements at their place.
  void take(const std::byte* results, const std::byte* data, std::size_t bytes) {
    require(data >= results + shm::vector_head_size && bytes <= results_size &&
                data + bytes <= results + results_size,
            "a vector lies in the results");
    const auto at = static_cast<std::size_t>(data - results) - shm::vector_head_size;
    require(at % page == 0, "a block begins with a page");
    for (std::size_t p = at / page; p * page < at + shm::vector_head_size + bytes; ++p) {
      require(!taken_[p], "no two vectors meet");
      taken_[p] = true;
    }
  }

 private:
  bool taken_[results_size / page] = {};
};

struct holding {
  std::unique_ptr<detail::vector_memory> memory;
  std::size_t bytes;
};

class game {
 public:
  explicit game(input in) : in_(in) {}
  void play() {
    while (!in_.empty()) {
      switch (in_.below(5)) {
        case 0:
          take();
          break;
        case 1:
          if (!held_.empty())
            held_.erase(held_.begin() + in_.below(static_cast<std::uint32_t>(held_.size())));
          break;
        case 2:
          read();
          break;
        case 3:
          in_.fill(results_ + page * in_.below(results_size / page), in_.below(32));
          memory_.own().held = in_.number<std::uint16_t>();
          break;
        default:
          replace();
      }
    }
  }

 private:
  std::uint64_t place() {
    return in_.below(2) == 0 ? page * in_.below(33) : in_.number<std::uint64_t>();
  }
  std::size_t size() {
    return in_.below(8) == 0 ? in_.number<std::uint64_t>() : in_.number<std::uint16_t>();
  }
  void check() {
    pages all;
    for (const holding& h : held_) all.take(results_, h.memory->data(), h.bytes);
  }
  void take() {
    const std::uint64_t at = place();
    const std::size_t bytes = size();
    try {
      held_.push_back({blocks_->take(at, bytes), bytes});
    } catch (const serialization_error&) {
    }
    check();
  }
  void read() {
    std::vector<std::byte> message(in_.below(100));
    in_.fill(message.data(), message.size());
    try {
      detail::reader in(message.data(), message.size());
      pages all;
      for (const holding& h : held_) all.take(results_, h.memory->data(), h.bytes);
      const auto read =
          detail::decode<std::vector<shared_vector<std::uint32_t>>>(in, false, blocks_.get());
      for (const auto& v : read) {
        const auto* data = reinterpret_cast<const std::byte*>(v.data());
        look({data, v.size() * sizeof(std::uint32_t)});
        if (data >= results_ && data < results_ + results_size)
          all.take(results_, data, v.size() * sizeof(std::uint32_t));
      }
    } catch (const serialization_error&) {
    }
  }
  /// A worker that finds what the parent has written, and one that finds what the last one has.
  void replace() {
    blocks_->ended(in_.below(2) * page);
    if (in_.below(4) == 0)
      static_cast<void>(std::make_shared<shm::own_results>(memory_.own(), results_, results_size));
    blocks_->starting();
    const auto next = std::make_shared<shm::own_results>(memory_.own(), results_, results_size);
    pages all;
    for (const holding& h : held_) all.take(results_, h.memory->data(), h.bytes);
    std::vector<std::unique_ptr<detail::vector_memory>> given;
    try {
      for (;;) {
        given.push_back(next->allocate(1));
        all.take(results_, given.back()->data(), 1);
      }
    } catch (const std::bad_alloc&) {
    }
  }

  input in_;
  shm::channel_memory memory_{results_size};
  std::byte* results_ = reinterpret_cast<std::byte*>(&memory_.own()) + shm::results_at;
  std::shared_ptr<shm::held_blocks> blocks_ = std::make_shared<shm::held_blocks>(
      nullptr, std::make_shared<const base::process_mark>(), memory_.own(), results_size);
  std::vector<holding> held_;
};

}  // namespace
}  // namespace procpool::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  procpool::fuzz::game(procpool::fuzz::input(data, size)).play();
  return 0;
}
