// SPDX-License-Identifier: MIT
// Values that tests send: one that counts its living copies, some whose codec throws.
#pragma once

#include <atomic>
#include <stdexcept>
#include <string>

namespace procpool::testing {

/// Knows how many of it live in this process.
class tracked {
 public:
  tracked() { ++live_; }
  explicit tracked(int n) : value(n) { ++live_; }
  tracked(const tracked& other) : value(other.value) { ++live_; }
  tracked& operator=(const tracked&) = default;
  ~tracked() { --live_; }
  static int live() { return live_.load(); }

  template <class Archive>
  void serialize(Archive& archive) {
    archive(value);
  }
  int value = 0;

 private:
  static inline std::atomic<int> live_{0};
};

struct codec_error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Cannot be encoded when its value is 13.
struct unlucky {
  int value = 0;
  template <class Archive>
  void save(Archive& archive) const {
    if (value == 13) throw codec_error("thirteen");
    archive(value);
  }
  template <class Archive>
  void load(Archive& archive) {
    archive(value);
  }
};

}  // namespace procpool::testing
