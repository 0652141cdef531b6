// SPDX-License-Identifier: MIT
#include "shm/segment.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <new>
#include <utility>

#include "base/sys.h"
#include "procpool/error.h"

namespace procpool::shm {
namespace {

constexpr std::size_t GiB = std::size_t{1} << 30;

// All windows together. Sanitizers keep most of the address space for themselves.
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
constexpr std::size_t most_addresses = 256 * GiB;
#else
constexpr std::size_t most_addresses = 16384 * GiB;
#endif
constexpr std::size_t least_results = std::size_t{1} << 26;

std::size_t largest_results(std::uint32_t workers) {
  auto pages = static_cast<std::size_t>(std::max(1L, ::sysconf(_SC_PHYS_PAGES)));
  std::size_t memory = std::bit_ceil(pages * 4096);
  return std::clamp(std::min(memory, std::bit_floor(most_addresses / workers)), least_results,
                    std::size_t{1} << 40);
}

}  // namespace

segment::segment(std::uint32_t workers)
    : memory_(sys::check(sys::memfd_create("procpool", MFD_CLOEXEC | MFD_ALLOW_SEALING),
                         "memfd_create")) {
  windows_.reserve(workers);
  mapped_.reserve(1);
  for (std::size_t results = largest_results(workers);; results /= 2) {
    parcels_size_ = results;
    window_size_ = results + results_at;
    if (add_windows(workers)) break;
    if ((errno != ENOMEM && errno != EFBIG) || results <= least_results)
      sys::raise("mapping the pool's memory");
  }
  base_ = mapped_.front().data();
  // Not against growing, which harms nobody: grow().
  if (sys::fcntl(memory_.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_SEAL) != 0) {
    const int saved = errno;
    unmap();
    errno = saved;
    sys::raise("sealing the pool's memory");
  }
  head_ = new (base_) header{};
  head_->magic = magic;
  head_->version = version;
  head_->parcels_at = head_size;
  head_->parcels_size = parcels_size_;
  head_->windows_at = head_size + parcels_size_;
  head_->window_size = window_size_;
  head_->modules = no_record;
  head_->boot_at = no_record;
}

void segment::grow(std::uint32_t workers) {
  if (workers <= windows_.size()) return;
  const auto more = workers - static_cast<std::uint32_t>(windows_.size());
  windows_.reserve(workers);
  mapped_.reserve(mapped_.size() + 1);
  if (!add_windows(more)) sys::raise("mapping more of the pool's memory");
}

// False: errno says why. Room in windows_ and mapped_ is there. The first ones are mapped together
// with what lies before them: what is unmapped at once is, on all CPUs, forgotten at once.
bool segment::add_windows(std::uint32_t count) noexcept {
  const std::size_t at = head_size + parcels_size_ + windows_.size() * window_size_;
  const std::size_t size = window_size_ * count;
  const std::size_t before = mapped_.empty() ? at : 0;
  struct rlimit file_size {};
  if (::getrlimit(RLIMIT_FSIZE, &file_size) != 0) file_size.rlim_cur = RLIM_INFINITY;
  // Beyond it ftruncate would not only fail but send SIGXFSZ.
  if (at + size > file_size.rlim_cur) {
    errno = EFBIG;
    return false;
  }
  void* mapped =
      sys::mmap(nullptr, before + size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE,
                memory_.get(), static_cast<off_t>(at - before));
  if (mapped == MAP_FAILED) return false;
  std::byte* const first = static_cast<std::byte*>(mapped) + before;
  // Neither the zygote nor any other child of this process sees the windows.
  if (sys::madvise(first, size, MADV_DONTFORK) != 0 ||
      sys::ftruncate(memory_.get(), static_cast<off_t>(at + size)) != 0) {
    const int saved = errno;
    sys::munmap(mapped, before + size);
    errno = saved;
    return false;
  }
  sys::madvise(mapped, before + size, MADV_DONTDUMP);
  mapped_.emplace_back(static_cast<std::byte*>(mapped), before + size);
  for (std::uint32_t w = 0; w < count; ++w) windows_.push_back(first + w * window_size_);
  return true;
}

segment::segment(base::fd memory) : memory_(std::move(memory)) {
  auto map = [this](std::size_t size) {
    return static_cast<std::byte*>(sys::check(
        sys::mmap(nullptr, size, PROT_READ, MAP_SHARED | MAP_NORESERVE, memory_.get(), 0),
        "mapping the pool's memory"));
  };
  std::byte* first = map(head_size);
  const header& known = *reinterpret_cast<const header*>(first);
  const bool same_format =
      known.magic == magic && known.version == version && known.parcels_at == head_size;
  parcels_size_ = known.parcels_size;
  window_size_ = known.window_size;
  sys::munmap(first, head_size);
  if (!same_format)
    throw error("procpool: the worker has another version of procpool than its parent");
  mapped_.reserve(1);
  base_ = map(head_size + parcels_size_);
  mapped_.emplace_back(base_, head_size + parcels_size_);
  sys::madvise(base_, head_size + parcels_size_, MADV_DONTDUMP);
  head_ = reinterpret_cast<header*>(base_);
}

segment::~segment() { unmap(); }

void segment::unmap() noexcept {
  for (const auto& m : mapped_) sys::munmap(m.data(), m.size());
}

std::uint64_t segment::place_of(const window& own) const noexcept {
  const auto* address = reinterpret_cast<const std::byte*>(&own);
  const auto before = std::ranges::find(windows_, address) - windows_.begin();
  return head_size + parcels_size_ + static_cast<std::uint64_t>(before) * window_size_;
}

bool segment::takes_memory(std::uint64_t from, std::uint64_t to) const noexcept {
  const off_t next = sys::seek_data(memory_.get(), static_cast<off_t>(from));
  return next == -1 ? errno != ENXIO : static_cast<std::uint64_t>(next) < to;
}

void segment::protect() const {
  if (sys::mprotect(base_, head_size + parcels_size_, PROT_READ) != 0)
    sys::raise("mprotect of the pool's memory");
}

window& segment::open_window(std::uint32_t worker) {
  std::size_t at = head_size + parcels_size_ + worker * window_size_;
  void* mapped = sys::mmap(nullptr, window_size_, PROT_READ | PROT_WRITE,
                           MAP_SHARED | MAP_NORESERVE, memory_.get(), static_cast<off_t>(at));
  if (mapped == MAP_FAILED) sys::raise("mapping a worker's window");
  // A core file would otherwise hold, and thereby allocate, all that could ever stand there.
  sys::madvise(mapped, window_size_, MADV_DONTDUMP);
  memory_.reset();
  return *static_cast<window*>(mapped);
}

}  // namespace procpool::shm
