// SPDX-License-Identifier: MIT
// Types that are sent, one for each way a value can become bytes (codec.h has the list), for the
// targets that make values of bytes.
#pragma once

#include <cereal/types/base_class.hpp>

#include <array>
#include <bitset>
#include <chrono>
#include <complex>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <forward_list>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <queue>
#include <set>
#include <span>
#include <stack>
#include <stdexcept>
#include <string>
#include <string_view>
#include <tuple>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <variant>
#include <vector>

#include "procpool/codec.h"

namespace procpool::fuzz {

/// Bytes, of which not every pattern is one. No padding: equal values are equal bytes.
struct switches {
  std::uint16_t level;
  bool on;
  bool off;
  bool operator==(const switches&) const = default;
};

struct alignas(64) wide {
  std::array<std::uint64_t, 8> words;
  bool operator==(const wide&) const = default;
};

struct nothing {
  bool operator==(const nothing&) const = default;
};

/// Field by field.
struct entry {
  std::string name;
  int number = 0;
  nothing mark;
  std::vector<switches> all;
  std::string pair[2];
  std::optional<double> weight;
};

/// Holds itself, in both ways a value can.
struct tree {
  std::uint8_t leaf = 0;
  std::vector<tree> children;
};
struct chain {
  std::int32_t value = 0;
  std::unique_ptr<chain> next;
};

/// Functions of its own, with a version, names and a base class.
struct shape {
  std::string label;
  template <class Archive>
  void serialize(Archive& archive) {
    archive(CEREAL_NVP(label));
  }
};
struct polygon : shape {
  std::vector<std::pair<int, std::string>> points;
  std::vector<double> angles;
  bool closed = false;
  template <class Archive>
  void serialize(Archive& archive, const std::uint32_t version) {
    archive(cereal::base_class<shape>(this), cereal::make_nvp("points", points));
    archive& angles;
    if (version > 0) archive(closed);
  }
};

/// Reads a count, makes room for it, reads a block: what functions written by hand do.
struct samples {
  std::vector<float> values;
  template <class Archive>
  void save(Archive& archive) const {
    archive(cereal::make_size_tag(static_cast<cereal::size_type>(values.size())));
    archive(cereal::binary_data(values.data(), values.size() * sizeof(float)));
  }
  template <class Archive>
  void load(Archive& archive) {
    cereal::size_type size = 0;
    archive(cereal::make_size_tag(size));
    values.resize(static_cast<std::size_t>(size));
    archive(cereal::binary_data(values.data(), values.size() * sizeof(float)));
  }
};

/// Its bytes are checked by the functions that read them.
struct percent {
  int value = 0;
  template <class Archive>
  int save_minimal(const Archive&) const {
    return value;
  }
  template <class Archive>
  void load_minimal(const Archive&, const int& from) {
    if (from < 0 || from > 100) throw std::out_of_range("no percentage");
    value = from;
  }
  bool operator==(const percent&) const = default;
};

struct silent {
  template <class Archive>
  void serialize(Archive&) {}
};

struct target {
  int first = 0;
  int second = 0;
  virtual int plus(int n) { return first + n; }
  int minus(int n) const { return second - n; }
  virtual ~target() = default;
};

using text = std::string;
using texts = std::vector<text>;

using detail::types;

/// What a task may return.
using returned =
    types<int, bool, text, texts, std::optional<std::map<int, text>>, entry, switches, wide,
          std::unique_ptr<text>, std::variant<int, text, std::vector<double>>, tree, chain, polygon,
          std::vector<std::array<text, 64>>, std::vector<std::tuple<text, text, texts, int>>,
          std::unordered_map<std::uint32_t, text>, std::tuple<int, switches, text>>;

/// What else may be sent.
using also_sent =
    types<std::u16string, std::vector<bool>, std::vector<switches>, std::vector<wide>,
          std::deque<text>, std::list<percent>, std::forward_list<std::pair<text, std::uint8_t>>,
          std::map<text, std::vector<int>>, std::multimap<std::uint8_t, text>,
          std::set<std::pair<text, std::uint8_t>>, std::unordered_set<text>,
          std::unordered_multimap<std::uint8_t, std::unique_ptr<std::uint8_t>>,
          std::array<std::optional<text>, 3>, std::array<text, 0>, std::queue<text>,
          std::stack<std::vector<char>>, std::priority_queue<text>,
          std::variant<std::monostate, nothing, percent, std::unique_ptr<text>>,
          std::filesystem::path, std::vector<std::filesystem::path>, std::chrono::nanoseconds,
          std::optional<std::chrono::system_clock::time_point>, std::vector<std::complex<float>>,
          std::vector<std::bitset<12>>, std::vector<nothing>, nothing, samples,
          std::vector<samples>, silent, std::vector<silent>, std::vector<polygon>, int (*)(int),
          int (target::*)(int), int (target::*)(int) const, int target::*,
          std::vector<std::unique_ptr<tree>>, std::vector<std::vector<std::vector<text>>>>;

/// What lies in the message as it is.
using views = types<std::string_view, std::span<const int>, std::span<const std::byte>,
                    std::span<const switches>, std::span<const bool>>;

}  // namespace procpool::fuzz

CEREAL_CLASS_VERSION(procpool::fuzz::polygon, 1)
