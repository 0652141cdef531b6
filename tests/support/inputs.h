// SPDX-License-Identifier: MIT
// Inputs as nobody would write them: read once only, endless, throwing part-way, lying about their
// size; and each counts what was read of it.
#pragma once

#include <cstddef>
#include <functional>
#include <iterator>
#include <memory>
#include <stdexcept>
#include <utility>

namespace procpool::testing {

struct input_error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// 0, 1, 2, …: make(k) gives the kth element. Single pass, without a size; read() counts
/// dereferences.
template <class Make>
class single_pass {
 public:
  static constexpr int endless = -1;
  explicit single_pass(int n, Make make) : state_{n, 0, 0, std::move(make)} {}
  single_pass(single_pass&&) = default;
  single_pass(const single_pass&) = delete;

  struct state {
    int n;
    int at;
    int read;
    Make make;
  };
  class iterator {
   public:
    using value_type = std::remove_cvref_t<std::invoke_result_t<Make&, int>>;
    using difference_type = std::ptrdiff_t;
    explicit iterator(state* s) : s_(s) {}
    iterator(iterator&&) = default;
    iterator& operator=(iterator&&) = default;
    decltype(auto) operator*() const {
      ++s_->read;
      return s_->make(s_->at);
    }
    iterator& operator++() {
      ++s_->at;
      return *this;
    }
    void operator++(int) { ++s_->at; }
    friend bool operator==(const iterator& i, std::default_sentinel_t) {
      return i.s_->n != endless && i.s_->at >= i.s_->n;
    }

   private:
    state* s_;
  };
  iterator begin() { return iterator(&state_); }
  std::default_sentinel_t end() const { return {}; }
  /// Elements taken so far.
  [[nodiscard]] int read() const { return state_.read; }

 private:
  state state_;
};

struct same {
  int operator()(int k) const { return k; }
};
inline single_pass<same> counting(int n) { return single_pass<same>(n, same{}); }
inline single_pass<same> endless() { return single_pass<same>(single_pass<same>::endless, same{}); }

/// 0 … n-1, but element `at` throws input_error.
struct throws_at {
  int at;
  int operator()(int k) const {
    if (k == at) throw input_error("element " + std::to_string(k));
    return k;
  }
};
inline single_pass<throws_at> throwing(int n, int at) {
  return single_pass<throws_at>(n, throws_at{at});
}

/// Says that it has `said` elements and has n; `thrower` may be an element that throws.
class liar {
 public:
  liar(std::size_t said, int n, int thrower = -1) : said_(said), n_(n), thrower_(thrower) {}

  class iterator {
   public:
    using value_type = int;
    using difference_type = std::ptrdiff_t;
    iterator() = default;
    iterator(int at, int n, int thrower) : at_(at), n_(n), thrower_(thrower) {}
    int operator*() const { return throws_at{thrower_}(at_); }
    iterator& operator++() {
      ++at_;
      return *this;
    }
    iterator operator++(int) { return std::exchange(*this, iterator(at_ + 1, n_, thrower_)); }
    friend bool operator==(const iterator& a, const iterator& b) { return a.at_ == b.at_; }
    friend bool operator==(const iterator& i, std::default_sentinel_t) { return i.at_ >= i.n_; }

   private:
    int at_ = 0;
    int n_ = 0;
    int thrower_ = -1;
  };
  [[nodiscard]] iterator begin() const { return {0, n_, thrower_}; }
  [[nodiscard]] std::default_sentinel_t end() const { return {}; }
  [[nodiscard]] std::size_t size() const { return said_; }

 private:
  std::size_t said_;
  int n_;
  int thrower_;
};

}  // namespace procpool::testing
