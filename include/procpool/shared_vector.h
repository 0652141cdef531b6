// SPDX-License-Identifier: MIT
// A vector whose elements lie in a pool's shared memory, and are passed on without being copied:
//
//     procpool::shared_vector<double> v = pool.allocate<double>(n);
//     std::iota(v.begin(), v.end(), 0.0);
//     double s = pool.apply(sum, std::move(v));  // double sum(std::span<const double>)
//
//     procpool::shared_vector<float> render(int i) {
//       auto image = procpool::this_worker::allocate<float>(n);
//       ...
//       return image;
//     }
//     procpool::shared_vector<float> image = pool.apply(render, 3);  // where the worker wrote it
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <new>
#include <stdexcept>
#include <type_traits>
#include <utility>

#include "procpool/detail/form.h"
#include "procpool/detail/type_name.h"
#include "procpool/detail/vector_memory.h"

namespace procpool {
namespace detail {

/// Whatever lies in memory that another process writes, it is a T.
template <class T>
concept vector_element =
    std::is_object_v<T> && std::same_as<T, std::remove_cv_t<T>> && plain<T> && !is_picky<T>() &&
    alignof(T) <= published_alignment;

struct vector_access;

}  // namespace detail

/// A fixed number of plain elements. Move-only; a contiguous range, so a std::span of it is one
/// conversion away. Anything that is sent may hold some: aggregates, tuples, containers, optionals.
///
/// As an argument: passed as an rvalue (or as a part of one; or as an element of a container that
/// is an rvalue) it goes to the worker as it lies in the memory of its pool, and is empty then,
/// also when the call throws. Passed as an lvalue it stays, and its elements are copied into the
/// message, as a vector's are; so are those of an rvalue that lies elsewhere: a result, another
/// pool's.
///
/// In the worker a parameter declared const shared_vector<T>& or std::span<const T> (or const& to
/// what holds some) looks at them where they lie, as long as the task runs: there they cannot be
/// written. Declared otherwise, by value or in a generic lambda, it is a copy in the worker's own
/// shared memory, to be written and returned.
///
/// As a result it is what the worker wrote, where it wrote it: no copy. The memory goes back when
/// the vector dies; it outlives its worker, and the pool. While its worker lives, code of the
/// worker's that means harm can still change the elements: of workers that you do not trust take a
/// std::vector. In a forked copy of this process a result's elements are not there.
///
/// Of one thread at a time, as a std::vector; its end may be on any thread.
template <class T>
class shared_vector {
  static_assert(detail::vector_element<T>,
                "procpool: a shared_vector's elements must be plain values of which every pattern "
                "of bits is one: no pointer, no string, no bool inside, aligned to 64 at most. Use "
                "std::vector.");

 public:
  using value_type = T;
  using size_type = std::size_t;
  using difference_type = std::ptrdiff_t;
  using reference = T&;
  using const_reference = const T&;
  using pointer = T*;
  using const_pointer = const T*;
  using iterator = T*;
  using const_iterator = const T*;

  /// Empty. Others come from pool::allocate and this_worker::allocate.
  shared_vector() noexcept = default;
  shared_vector(shared_vector&& other) noexcept
      : memory_(std::move(other.memory_)),
        data_(std::exchange(other.data_, nullptr)),
        size_(std::exchange(other.size_, 0)) {}
  shared_vector& operator=(shared_vector&& other) noexcept {
    shared_vector(std::move(other)).swap(*this);
    return *this;
  }

  [[nodiscard]] bool empty() const noexcept { return size_ == 0; }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] T* data() noexcept { return data_; }
  [[nodiscard]] const T* data() const noexcept { return data_; }
  [[nodiscard]] T* begin() noexcept { return data_; }
  [[nodiscard]] const T* begin() const noexcept { return data_; }
  [[nodiscard]] T* end() noexcept { return data_ + size_; }
  [[nodiscard]] const T* end() const noexcept { return data_ + size_; }
  [[nodiscard]] const T* cbegin() const noexcept { return begin(); }
  [[nodiscard]] const T* cend() const noexcept { return end(); }
  [[nodiscard]] T& operator[](std::size_t i) noexcept { return data_[i]; }
  [[nodiscard]] const T& operator[](std::size_t i) const noexcept { return data_[i]; }
  /// Throws std::out_of_range.
  [[nodiscard]] T& at(std::size_t i) { return data_[checked(i)]; }
  [[nodiscard]] const T& at(std::size_t i) const { return data_[checked(i)]; }
  [[nodiscard]] T& front() noexcept { return data_[0]; }
  [[nodiscard]] const T& front() const noexcept { return data_[0]; }
  [[nodiscard]] T& back() noexcept { return data_[size_ - 1]; }
  [[nodiscard]] const T& back() const noexcept { return data_[size_ - 1]; }

  void swap(shared_vector& other) noexcept {
    memory_.swap(other.memory_);
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
  }
  friend void swap(shared_vector& a, shared_vector& b) noexcept { a.swap(b); }

 private:
  friend struct detail::vector_access;
  shared_vector(std::unique_ptr<detail::vector_memory> memory, T* data, std::size_t n) noexcept
      : memory_(std::move(memory)), data_(data), size_(n) {}
  [[nodiscard]] std::size_t checked(std::size_t i) const {
    if (i >= size_) throw std::out_of_range("procpool: shared_vector::at");
    return i;
  }

  // Mutable: an argument is encoded as const, and what was passed as an rvalue moves then.
  mutable std::unique_ptr<detail::vector_memory> memory_;  // null: empty, or not its own
  mutable T* data_ = nullptr;
  mutable std::size_t size_ = 0;
};

namespace detail {

/// What the codec may reach of a vector.
struct vector_access {
  /// allocate(bytes) gives its memory; n == 0 needs none.
  template <class T, class Allocate>
  static shared_vector<T> make(std::size_t n, Allocate&& allocate) {
    if (n == 0) return {};
    if (n > std::numeric_limits<std::ptrdiff_t>::max() / sizeof(T)) throw std::bad_alloc();
    std::unique_ptr<vector_memory> memory = allocate(n * sizeof(T));
    T* data = reinterpret_cast<T*>(memory->data());
    return {std::move(memory), data, n};
  }
  /// Elements that lie in memory of somebody else's: to be looked at only.
  template <class T>
  static shared_vector<T> lend(const std::byte* at, std::size_t n) noexcept {
    return {nullptr, reinterpret_cast<T*>(const_cast<std::byte*>(at)), n};
  }
  template <class T>
  static vector_memory* memory(const shared_vector<T>& v) noexcept {
    return v.memory_.get();
  }
  /// Leaves it empty.
  template <class T>
  static std::unique_ptr<vector_memory> take(const shared_vector<T>& v) noexcept {
    v.data_ = nullptr;
    v.size_ = 0;
    return std::move(v.memory_);
  }
};

/// As published_name and replies have it.
template <class T>
consteval std::uint64_t vector_type() {
  return name_hash<shared_vector<T>>();
}

}  // namespace detail

namespace this_worker {

/// In a worker: n elements in its shared memory, which nobody has written to yet. Returned from a
/// task, they are not copied; else their memory is free again when the vector dies. In tasks,
/// initializer and finalizer, from any thread of the worker. Throws std::bad_alloc;
/// std::logic_error outside a worker, and in a process that a task has forked.
template <class T>
[[nodiscard]] shared_vector<T> allocate(std::size_t n) {
  return detail::vector_access::make<T>(n, detail::allocate_here);
}

}  // namespace this_worker
}  // namespace procpool
