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
                         "memfd_create")),
      workers_(workers) {
  struct rlimit file_size {};
  if (::getrlimit(RLIMIT_FSIZE, &file_size) != 0) file_size.rlim_cur = RLIM_INFINITY;

  for (std::size_t results = largest_results(workers);; results /= 2) {
    parcels_size_ = results;
    window_size_ = results + results_at;
    std::size_t base_size = head_size + parcels_size_;
    std::size_t windows_size = window_size_ * workers_;
    // Beyond RLIMIT_FSIZE ftruncate would not only fail but send SIGXFSZ.
    bool fits = base_size + windows_size <= file_size.rlim_cur;
    if (fits) {
      void* base = sys::mmap(nullptr, base_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE,
                             memory_.get(), 0);
      if (base != MAP_FAILED) {
        void* windows =
            sys::mmap(nullptr, windows_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE,
                      memory_.get(), static_cast<off_t>(base_size));
        if (windows != MAP_FAILED) {
          base_ = static_cast<std::byte*>(base);
          windows_ = static_cast<std::byte*>(windows);
          break;
        }
        int saved = errno;
        sys::munmap(base, base_size);
        errno = saved;
      }
    } else {
      errno = EFBIG;
    }
    if ((errno != ENOMEM && errno != EFBIG) || results <= least_results)
      sys::raise("mapping the pool's memory");
  }

  auto refused = [this](const char* what) {
    int saved = errno;
    sys::munmap(windows_, window_size_ * workers_);
    sys::munmap(base_, head_size + parcels_size_);
    errno = saved;
    sys::raise(what);
  };
  std::size_t total = head_size + parcels_size_ + window_size_ * workers_;
  if (sys::ftruncate(memory_.get(), static_cast<off_t>(total)) != 0) refused("ftruncate");
  if (sys::fcntl(memory_.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0)
    refused("sealing the pool's memory");
  // Neither the zygote nor any other child of this process sees the windows.
  if (sys::madvise(windows_, window_size_ * workers_, MADV_DONTFORK) != 0)
    refused("madvise(MADV_DONTFORK)");
  sys::madvise(base_, head_size + parcels_size_, MADV_DONTDUMP);
  sys::madvise(windows_, window_size_ * workers_, MADV_DONTDUMP);

  head_ = new (base_) header{};
  head_->magic = magic;
  head_->version = version;
  head_->workers = workers_;
  head_->parcels_at = head_size;
  head_->parcels_size = parcels_size_;
  head_->windows_at = head_size + parcels_size_;
  head_->window_size = window_size_;
  head_->modules = no_record;
  head_->boot_at = no_record;
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
  workers_ = known.workers;
  parcels_size_ = known.parcels_size;
  window_size_ = known.window_size;
  sys::munmap(first, head_size);
  if (!same_format)
    throw error("procpool: the worker has another version of procpool than its parent");
  base_ = map(head_size + parcels_size_);
  sys::madvise(base_, head_size + parcels_size_, MADV_DONTDUMP);
  head_ = reinterpret_cast<header*>(base_);
}

segment::~segment() {
  if (windows_ != nullptr) sys::munmap(windows_, window_size_ * workers_);
  sys::munmap(base_, head_size + parcels_size_);
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
