// SPDX-License-Identifier: MIT
// How far the count is: a bar that moves on a terminal, four lines elsewhere.
#pragma once

#include <unistd.h>

#include <cstddef>
#include <cstdio>
#include <string>

namespace wordcount {

class progress {
 public:
  explicit progress(std::size_t files) : files_(files) {}
  progress(const progress&) = delete;
  progress& operator=(const progress&) = delete;
  ~progress() {
    if (terminal_) std::printf("\r\033[K");  // the bar leaves nothing behind
    std::fflush(stdout);
  }

  void add(std::size_t files) {
    done_ += files;
    const std::size_t percent = files_ == 0 ? 100 : done_ * 100 / files_;
    if (terminal_) {
      const std::string bar(percent * 40 / 100, '#');
      std::printf("\r[%-40s] %3zu %%  %zu of %zu files", bar.c_str(), percent, done_, files_);
      std::fflush(stdout);
    } else if (percent / 25 > shown_) {
      shown_ = percent / 25;
      std::printf("  %zu of %zu files\n", done_, files_);
    }
  }

 private:
  const bool terminal_ = isatty(STDOUT_FILENO) == 1;
  const std::size_t files_;
  std::size_t done_ = 0;
  std::size_t shown_ = 0;
};

}  // namespace wordcount
