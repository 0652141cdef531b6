// SPDX-License-Identifier: MIT
// Where a call's results gather in the parent: single<R> for apply, many<R> for the maps.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <mutex>
#include <new>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

#include "procpool/codec.h"
#include "procpool/detail/batch.h"
#include "procpool/result.h"

namespace procpool::detail {

/// Plain results lie in the reply's fixed part.
template <class R>
concept fixed = std::is_void_v<R> || viewable<R>;
template <class R>
consteval std::size_t stride_of() {
  if constexpr (std::is_void_v<R> || !fixed<R>)
    return 0;
  else
    return sizeof(R);
}

/// A value record's value; whatever its codec throws becomes the item's error.
template <class R>
outcome<R> decode_value(std::span<const std::byte> bytes, result_blocks* blocks) noexcept {
  try {
    reader in(bytes.data(), bytes.size());
    return outcome<R>(decode<R>(in, false, blocks));
  } catch (const serialization_error&) {
    return outcome<R>(std::current_exception());
  } catch (...) {
    return outcome<R>(
        nest(serialization_error("procpool: decoding the result threw"), std::current_exception()));
  }
}

inline std::exception_ptr incomplete_reply() {
  return std::make_exception_ptr(serialization_error(
      "procpool: the worker's reply is incomplete: its memory was overwritten"));
}

/// Takes a reply apart: set(k, outcome) once for each of its done items from r.from on, whatever
/// the bytes say. Returns how many are errors.
template <class R, class Set>
std::size_t take_apart(const reply& r, Set&& set) noexcept {
  std::size_t failed = 0;
  std::uint32_t next = r.from;  // the first item not set yet
  std::exception_ptr missing;   // one error for all that no record speaks of
  auto fail = [&](std::exception_ptr e) {
    set(next++, outcome<R>(std::move(e)));
    ++failed;
  };
  try {
    record_reader records(r, stride_of<R>());
    auto set_fixed_until = [&](std::uint32_t end) {
      if constexpr (std::is_void_v<R>) {
        while (next < end) set(next++, outcome<R>());
      } else if constexpr (fixed<R>) {
        while (next < end) {
          R value = make_checked<R>(records.fixed() + next * sizeof(R));
          set(next++, outcome<R>(std::move(value)));
        }
      } else {
        if (next < end && !missing) missing = incomplete_reply();
        for (std::uint32_t left = end - next; left != 0; --left) fail(missing);
      }
    };
    record_reader::record record{};
    while (records.next(record)) {
      if (record.index < r.from) continue;
      set_fixed_until(record.index);
      if (record.kind == record_kind::error) {
        fail(decode_error(record.bytes, r.pid));
      } else if constexpr (!fixed<R>) {
        outcome<R> o = decode_value<R>(record.bytes, r.blocks);
        if (!o) ++failed;
        set(next++, std::move(o));
      } else {
        fail(incomplete_reply());
      }
    }
    set_fixed_until(r.done);
  } catch (...) {
    std::exception_ptr e = std::current_exception();
    while (next < r.done) fail(e);
  }
  return failed;
}

/// Whatever has results of type R: calls of one entry point, sent together, come back to each.
template <class R>
class batch_of : public batch {
 public:
  std::size_t deliver_each(std::span<const std::shared_ptr<batch>> calls,
                           const reply& r) noexcept final {
    const std::uint64_t share = r.nanoseconds / calls.size();
    return take_apart<R>(r, [&](std::uint32_t k, outcome<R>&& o) {
      static_cast<batch_of&>(*calls[k - r.from]).set_only(std::move(o), share);
    });
  }
  /// The outcome of a call of one item, which took so long.
  virtual void set_only(outcome<R>&& o, std::uint64_t nanoseconds) noexcept = 0;
};

// ---- one item -----------------------------------------------------------------------------------

template <class R>
class single final : public batch_of<R>, public result_state<R> {
 public:
  void extend(std::size_t) override {}
  std::size_t deliver(const reply& r) noexcept override {
    return take_apart<R>(r, [this](std::uint32_t, outcome<R> o) { result_.emplace(std::move(o)); });
  }
  void set_only(outcome<R>&& o, std::uint64_t) noexcept override { result_.emplace(std::move(o)); }
  void fail(std::size_t, std::size_t, const std::exception_ptr& error) noexcept override {
    result_.emplace(error);
  }

  completion& done() noexcept override { return *this; }
  batch* running() noexcept override { return this; }
  [[nodiscard]] bool failed() const noexcept override { return !*result_; }
  R take() override { return std::move(*result_).value(); }

 private:
  std::optional<outcome<R>> result_;
};

// ---- many items ---------------------------------------------------------------------------------

/// The errors of some items, few as a rule. With too little memory to keep one of them, the call as
/// a whole has failed with std::bad_alloc.
class item_errors {
 public:
  void add(std::size_t item, std::exception_ptr error) noexcept {
    try {
      errors_.emplace_back(item, std::move(error));
    } catch (...) {
      lost_some_ = true;
    }
  }
  [[nodiscard]] bool empty() const noexcept { return errors_.empty() && !lost_some_; }
  [[nodiscard]] std::vector<std::pair<std::size_t, std::exception_ptr>>& sorted() {
    if (lost_some_) throw std::bad_alloc();
    std::sort(errors_.begin(), errors_.end(),
              [](const auto& a, const auto& b) { return a.first < b.first; });
    return errors_;
  }
  /// Throws the first in input order; what was only dropped because of another is not the reason.
  /// No other reference to it is kept.
  [[noreturn]] void throw_first() {
    auto all = std::exchange(sorted(), {});
    auto reason =
        std::find_if(all.begin(), all.end(), [](auto& e) { return !is_cancelled(e.second); });
    std::rethrow_exception(
        std::exchange((reason != all.end() ? reason : all.begin())->second, nullptr));
  }

 private:
  static bool is_cancelled(const std::exception_ptr& error) {
    try {
      std::rethrow_exception(error);
    } catch (const task_cancelled&) {
      return true;
    } catch (...) {
      return false;
    }
  }

  std::vector<std::pair<std::size_t, std::exception_ptr>> errors_;
  bool lost_some_ = false;
};

/// Plain values are copied a reply at a time into the vector that map returns; others wait as
/// optionals.
template <class R>
concept direct = !std::is_void_v<R> && fixed<R> && !std::is_same_v<R, bool> &&
                 std::is_default_constructible_v<R>;

template <class R>
using mapped = std::conditional_t<std::is_void_v<R>, void,
                                  std::vector<std::conditional_t<std::is_void_v<R>, int, R>>>;

template <class R>
class many final : public batch_of<R>, public result_state<mapped<R>> {
 public:
  // A thread may still be adding items while another delivers; mutex_ guards what both touch. No
  // user code runs under it but moves of results.
  void extend(std::size_t total) override {
    std::lock_guard hold(mutex_);
    if (total > size_) resize(total);
  }

  std::size_t deliver(const reply& r) noexcept override {
    nanoseconds_ += r.nanoseconds;
    if constexpr (direct<R> && !is_picky<R>()) {
      try {
        record_reader records(r, sizeof(R));
        record_reader::record record{};
        bool errors = records.next(record);
        if (!errors) {
          std::lock_guard hold(mutex_);
          std::memcpy(static_cast<void*>(values_.data() + r.first), records.fixed(),
                      r.done * sizeof(R));
          return 0;
        }
      } catch (...) {  // taken apart item by item, below
      }
    }
    return take_apart<R>(r, [this, &r](std::uint32_t k, outcome<R> o) {
      std::lock_guard hold(mutex_);
      set(r.first + k, std::move(o));
    });
  }
  void set_only(outcome<R>&& o, std::uint64_t nanoseconds) noexcept override {
    std::lock_guard hold(mutex_);
    nanoseconds_ += nanoseconds;
    set(0, std::move(o));
  }
  void fail(std::size_t first, std::size_t count,
            const std::exception_ptr& error) noexcept override {
    std::lock_guard hold(mutex_);
    for (std::size_t i = first; i < first + count; ++i) errors_.add(i, error);
  }

  completion& done() noexcept override { return *this; }
  batch* running() noexcept override { return this; }
  [[nodiscard]] bool failed() const noexcept override { return !errors_.empty(); }

  mapped<R> take() override {
    if (!errors_.empty()) errors_.throw_first();
    if constexpr (std::is_void_v<R>) {
      return;
    } else if constexpr (direct<R>) {
      return std::move(values_);
    } else {
      // Whoever delivered them may hold this object a moment longer, but not what is left of them.
      auto values = std::move(values_);
      std::vector<R> all;
      all.reserve(size_);
      for (auto& v : values) all.push_back(std::move(*v));
      return all;
    }
  }

  std::vector<outcome<R>> take_outcomes() {
    std::vector<outcome<R>> all;
    all.reserve(size_);
    auto& errors = errors_.sorted();
    auto error = errors.begin();
    for (std::size_t i = 0; i < size_; ++i) {
      if (error != errors.end() && error->first == i)
        all.emplace_back(std::exchange((error++)->second, nullptr));
      else
        all.push_back(take_value(i));
    }
    return all;
  }

  /// Items there are; the submitter says so at the end, when the input had fewer than expected.
  void shrink(std::size_t n) {
    std::lock_guard hold(mutex_);
    resize(n);
  }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  /// The worker's time for all items together.
  [[nodiscard]] std::uint64_t nanoseconds() const noexcept { return nanoseconds_; }

 private:
  void resize(std::size_t n) {
    size_ = n;
    if constexpr (!std::is_void_v<R>) values_.resize(n);
  }
  void set(std::size_t i, outcome<R> o) {
    if (!o) {
      errors_.add(i, o.error());
    } else if constexpr (!std::is_void_v<R>) {
      values_[i] = *std::move(o);
    }
  }
  outcome<R> take_value(std::size_t i) {
    if constexpr (std::is_void_v<R>)
      return static_cast<void>(i), outcome<R>();
    else if constexpr (direct<R>)
      return outcome<R>(std::move(values_[i]));
    else
      return outcome<R>(*std::move(values_[i]));
  }

  struct empty {
    void resize(std::size_t) {}
  };
  template <class T>
  static auto storage() {
    if constexpr (std::is_void_v<T>)
      return empty{};
    else if constexpr (direct<T>)
      return std::vector<T>{};
    else
      return std::vector<std::optional<T>>{};
  }

  std::mutex mutex_;
  decltype(storage<R>()) values_;
  item_errors errors_;
  std::size_t size_ = 0;
  std::uint64_t nanoseconds_ = 0;
};

}  // namespace procpool::detail
