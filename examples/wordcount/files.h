// SPDX-License-Identifier: MIT
// Which files wordcount counts, and how they are shared out. Runs in the parent.
#pragma once

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

namespace wordcount {

namespace fs = std::filesystem;

struct file {
  std::string path;
  std::uintmax_t size;
};

/// What could not be read, and why.
struct problem {
  std::string path;
  std::string why;
};

/// Adds the regular files under `folder`. Links are not followed, so nothing is found twice, and
/// nothing outside; pipes, sockets and devices are passed by.
inline void find_files(const fs::path& folder, std::vector<file>& files,
                       std::vector<problem>& problems) {
  std::error_code error;
  for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
    std::error_code gone;  // between readdir and stat: then it is no file of ours
    const fs::file_status status = at->symlink_status(gone);
    if (fs::is_directory(status)) {
      find_files(at->path(), files, problems);
    } else if (fs::is_regular_file(status)) {
      const std::uintmax_t size = at->file_size(gone);
      files.push_back({at->path().string(), gone ? 0 : size});
    }
  }
  if (error) problems.push_back({folder.string(), error.message()});
}

/// What a worker gets at a time.
struct batch {
  std::vector<std::string> paths;
  std::string deadly;  // reading this one ends in a null pointer; empty: none does
};

/// What a file costs, in bytes to be read: opening it costs as much as some of them.
inline std::uintmax_t cost(const file& f) { return f.size + 4096; }

/// Batches of about equal cost, the large files first: small ones fill the gaps at the end. Many
/// files go into one batch, as each costs a message and a merge of its words in the parent.
inline std::vector<batch> share_out(std::vector<file> files, int processes,
                                    const std::string& deadly) {
  std::sort(files.begin(), files.end(), [](const file& a, const file& b) {
    return std::pair(b.size, a.path) < std::pair(a.size, b.path);
  });
  std::uintmax_t total = 0;
  for (const file& f : files) total += cost(f);
  const std::uintmax_t enough = total / (static_cast<std::uintmax_t>(processes) * 16) + 1;

  std::vector<batch> batches;
  std::uintmax_t filled = enough;
  for (file& f : files) {
    if (filled >= enough) {
      batches.push_back({{}, deadly});
      filled = 0;
    }
    filled += cost(f);
    batches.back().paths.push_back(std::move(f.path));
  }
  return batches;
}

}  // namespace wordcount
