// SPDX-License-Identifier: MIT
// Counting words: count() runs in the workers, totals in the parent.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "wordcount/files.h"

namespace wordcount {

struct hash : std::hash<std::string_view> {
  using is_transparent = void;  // a string_view is looked up without making a string of it
};
using table = std::unordered_map<std::string, std::uint64_t, hash, std::equal_to<>>;

inline void add(table& words, std::string_view word, std::uint64_t times) {
  if (auto at = words.find(word); at != words.end())
    at->second += times;
  else
    words.emplace(word, times);
}

/// What a worker sends home: the words of its batch, each once, in two blocks instead of thousands
/// of strings.
struct tally {
  std::string words;                  // each followed by a space
  std::vector<std::uint64_t> counts;  // one for each of them
  std::uint64_t files = 0;            // text files counted
  std::uint64_t binary = 0;           // left out
  std::uint64_t bytes = 0;
  std::vector<problem> problems;
};

/// Words: ASCII letters side by side, at least two, in lower case. Whatever else a byte may be, in
/// UTF-8 or not, it stands between words.
class splitter {
 public:
  explicit splitter(table& words) : words_(words) {}
  void text(const char* at, std::size_t size) {
    for (const char* end = at + size; at != end; ++at) {
      if (const char c = *at; c >= 'a' && c <= 'z')
        word_ += c;
      else if (c >= 'A' && c <= 'Z')
        word_ += static_cast<char>(c - 'A' + 'a');
      else
        end_word();
    }
  }
  void end_word() {
    if (word_.size() >= 2) add(words_, word_, 1);
    word_.clear();
  }

 private:
  table& words_;
  std::string word_;
};

/// Adds one file. A NUL byte in its first block says that it is no text.
inline void count_file(const std::string& path, table& words, tally& t) {
  static std::array<char, 65536> block;
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  ssize_t size = fd == -1 ? -1 : read(fd, block.data(), block.size());
  if (size > 0 && std::memchr(block.data(), 0, static_cast<std::size_t>(size)) != nullptr) {
    ++t.binary;
  } else if (size >= 0) {
    splitter split(words);
    ++t.files;
    for (; size > 0; size = read(fd, block.data(), block.size())) {
      split.text(block.data(), static_cast<std::size_t>(size));
      t.bytes += static_cast<std::uint64_t>(size);
    }
    split.end_word();
  }
  if (size == -1) t.problems.push_back({path, std::strerror(errno)});
  if (fd != -1) close(fd);
}

/// SIGSEGV, as from any bug; one that a sanitizer need not report.
__attribute__((no_sanitize("undefined"))) inline void crash() {
  volatile int* volatile nowhere = nullptr;  // or the optimiser sees through it
  *nowhere = 1;
}

/// The function that the pool's processes run.
inline tally count(const batch& b) {
  table words;
  tally t;
  for (const std::string& path : b.paths) {
    if (path == b.deadly) crash();
    count_file(path, words, t);
  }
  for (const auto& [word, times] : words) {
    t.words += word;
    t.words += ' ';
    t.counts.push_back(times);
  }
  return t;
}

/// All tallies together, in the parent.
struct totals {
  table words;
  std::uint64_t files = 0, binary = 0, bytes = 0;
  std::vector<problem> problems;

  void merge(const tally& t) {
    std::size_t at = 0;
    for (std::uint64_t times : t.counts) {
      const std::size_t end = t.words.find(' ', at);
      add(words, std::string_view(t.words).substr(at, end - at), times);
      at = end + 1;
    }
    files += t.files;
    binary += t.binary;
    bytes += t.bytes;
    problems.insert(problems.end(), t.problems.begin(), t.problems.end());
  }
  [[nodiscard]] bool same_as(const totals& o) const {
    return words == o.words && files == o.files && bytes == o.bytes && binary == o.binary;
  }
};

}  // namespace wordcount
