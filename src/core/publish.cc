// SPDX-License-Identifier: MIT
#include "core/publish.h"

#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstring>
#include <new>
#include <utility>

#include "core/record.h"

namespace procpool::core {
namespace {

/// Fills a block that no worker knows yet. Large values come in one piece, for which the block
/// grows once, to the size.
class block_writer final : public detail::writer {
 public:
  explicit block_writer(backend& b) noexcept : writer(nullptr, 0), backend_(b) {}
  block_writer(const block_writer&) = delete;
  block_writer& operator=(const block_writer&) = delete;
  ~block_writer() {
    if (block_.data != nullptr) backend_.free(block_);
  }
  block take() noexcept { return std::exchange(block_, {}); }

 private:
  void grow(std::size_t more) override {
    const std::size_t least = size_ + more;
    block b = backend_.allocate(least < 2 * capacity_ ? 2 * capacity_ : least);
    if (size_ != 0) std::memcpy(b.data, data_, size_);
    if (block_.data != nullptr) backend_.free(block_);
    block_ = b;
    data_ = b.data;
    capacity_ = b.size;
  }

  backend& backend_;
  block block_;
};

class in_block final : public detail::published {
 public:
  in_block(backend& b, const std::function<bool()>& own_process, block_writer& from,
           const detail::published_name& name) noexcept
      : published(name, &b), backend_(b), own_process_(own_process), block_(from.take()) {}
  in_block(const in_block&) = delete;
  in_block& operator=(const in_block&) = delete;
  ~in_block() override {
    if (!own_process_()) return;
    reinterpret_cast<record*>(block_.data)->id.store(0, std::memory_order_relaxed);
    backend_.withdrawn();
    backend_.free(block_);
  }

 private:
  backend& backend_;
  const std::function<bool()>& own_process_;
  block block_;
};

std::uint64_t mix(std::uint64_t x) noexcept {  // the finaliser of splitmix64
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

}  // namespace

std::shared_ptr<const detail::published> publish(backend& b,
                                                 const std::function<bool()>& own_process,
                                                 std::uint64_t id,
                                                 const detail::published_writer& write,
                                                 std::uint64_t type) {
  block_writer out(b);
  std::memset(out.extend(record_head), 0, record_head);
  write(out);
  auto* head = new (out.data()) record;
  head->size = out.size() - record_head;
  head->type = type;
  head->id.store(id, std::memory_order_relaxed);
  const detail::published_name name{id, b.place_of({out.data(), out.size()})};
  return std::make_shared<in_block>(b, own_process, out, name);
}

// The process, the moment and the pool: a forked copy's pools go on from elsewhere.
id_source::id_source() noexcept {
  static std::atomic<std::uint64_t> pools{0};
  const auto now = std::chrono::steady_clock::now().time_since_epoch().count();
  state_ = mix(static_cast<std::uint64_t>(now)) ^ mix(static_cast<std::uint64_t>(::getpid())) ^
           mix(++pools + reinterpret_cast<std::uintptr_t>(this));
}

std::uint64_t id_source::next() noexcept {
  std::uint64_t id = 0;
  while (id == 0) id = mix(state_ += 0x9e3779b97f4a7c15);
  return id;
}

}  // namespace procpool::core
