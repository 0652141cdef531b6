// SPDX-License-Identifier: MIT
// wordcount [DIR] [--processes N] [--no-crash]
//
// Counts the words of all text files under DIR with a pool of processes; says what that gains over
// one process; then counts again while a process crashes in the middle of it.
// Status: 0; 1 when there is nothing to count, or a count is wrong; 2 for a call it does not know.
#include "wordcount/count.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "procpool/procpool.h"
#include "wordcount/files.h"
#include "wordcount/progress.h"

namespace {

using namespace wordcount;

struct options {
  std::vector<std::string> folders;
  int processes = 0;
  bool crash = true;
};

[[noreturn]] void usage() {
  std::fputs("usage: wordcount [DIR] [--processes N] [--no-crash]\n", stderr);
  std::exit(2);
}

options parse(int argc, char** argv) {
  options o;
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i];
    if (word == "--no-crash") {
      o.crash = false;
    } else if (word == "--processes" && i + 1 < argc) {
      const std::string_view n = argv[++i];
      const auto [end, error] = std::from_chars(n.data(), n.data() + n.size(), o.processes);
      if (error != std::errc() || end != n.data() + n.size() || o.processes < 1) usage();
    } else if (word.empty() || word.front() == '-' || !o.folders.empty()) {
      usage();
    } else {
      o.folders.emplace_back(word);
    }
  }
  if (o.folders.empty()) o.folders = {"/usr/include", "/usr/share/doc"};
  return o;
}

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// The first few are said, and how many more there are.
void complain(const std::vector<problem>& problems) {
  constexpr std::size_t most = 5;
  for (std::size_t i = 0; i < std::min(problems.size(), most); ++i)
    std::fprintf(stderr, "wordcount: cannot read %s: %s\n", problems[i].path.c_str(),
                 problems[i].why.c_str());
  if (problems.size() > most)
    std::fprintf(stderr, "wordcount: cannot read %zu more\n", problems.size() - most);
}

// ---- counting ----------------------------------------------------------------------------------

totals count_here(const std::vector<batch>& batches) {
  totals all;
  for (const batch& b : batches) all.merge(count(b));
  return all;
}

struct casualty {
  std::string path;
  std::string why;
};

std::string how_it_ended(const procpool::worker_died& e) {
  const std::string who = "process " + std::to_string(e.pid());
  if (e.signal() == 0) return who + " ended with exit code " + std::to_string(e.exit_code());
  return who + " ended by SIG" + sigabbrev_np(e.signal());
}

/// Counts the batches in the pool, whatever order they finish in. What died is split: a batch of
/// many files comes back as one batch for each, in `again`; a single file is a casualty.
void count_batches(procpool::pool& pool, const std::vector<batch>& batches, totals& all,
                   progress& shown, std::vector<batch>& again, std::vector<casualty>& casualties) {
  auto tallies = pool.imap_unordered({.chunksize = 1}, count, batches);
  for (;;) {
    try {
      const auto t = tallies.next();
      if (!t) return;
      all.merge(*t);
      shown.add(t->files + t->binary + t->problems.size());
    } catch (const procpool::worker_died& e) {
      const batch& b = batches[e.index()];
      if (b.paths.size() == 1) {
        casualties.push_back({b.paths.front(), how_it_ended(e)});
        shown.add(1);
      } else {
        for (const std::string& path : b.paths) again.push_back({{path}, b.deadly});
      }
    }
  }
}

totals count_in_pool(procpool::pool& pool, const std::vector<batch>& batches, std::size_t files,
                     std::vector<casualty>& casualties) {
  totals all;
  progress shown(files);
  std::vector<batch> again;
  count_batches(pool, batches, all, shown, again, casualties);
  std::vector<batch> none;  // a single file is not split
  count_batches(pool, again, all, shown, none, casualties);
  return all;
}

// ---- telling -----------------------------------------------------------------------------------

void print(const totals& all) {
  std::vector<std::pair<std::string_view, std::uint64_t>> words(all.words.begin(), all.words.end());
  const auto ten =
      words.begin() + static_cast<std::ptrdiff_t>(std::min<std::size_t>(10, words.size()));
  std::partial_sort(words.begin(), ten, words.end(), [](const auto& a, const auto& b) {
    return std::pair(b.second, a.first) < std::pair(a.second, b.first);
  });
  std::uint64_t sum = 0;
  for (const auto& [word, times] : words) sum += times;
  std::printf("\n%llu text files, %llu bytes, %llu words, %zu different ones\n",
              static_cast<unsigned long long>(all.files),
              static_cast<unsigned long long>(all.bytes), static_cast<unsigned long long>(sum),
              words.size());
  for (auto at = words.begin(); at != ten; ++at)
    std::printf("%12llu  %.*s\n", static_cast<unsigned long long>(at->second),
                static_cast<int>(at->first.size()), at->first.data());
}

/// Counts once more with a file that kills its reader. True: that cost this file and nothing else.
bool survive(procpool::pool& pool, const std::vector<file>& files, const totals& expected) {
  const file& deadly = files[files.size() / 2];
  std::printf("\nagain, with a null pointer in the process that reads %s\n", deadly.path.c_str());
  std::vector<casualty> casualties;
  totals all = count_in_pool(pool, share_out(files, pool.processes(), deadly.path), files.size(),
                             casualties);
  for (const casualty& c : casualties)
    std::printf("not counted: %s: %s\n", c.path.c_str(), c.why.c_str());
  std::printf("counted: %llu text files of %llu\n", static_cast<unsigned long long>(all.files),
              static_cast<unsigned long long>(expected.files));

  all.merge(count({{deadly.path}, ""}));
  const bool right =
      casualties.size() == 1 && casualties.front().path == deadly.path && all.same_as(expected);
  std::puts(right ? "no word of the others is lost" : "the count is wrong");
  return right;
}

int run(const options& o) {
  // Made first, while this process is small: the workers are copies of it.
  procpool::pool pool(o.processes);

  std::vector<file> files;
  std::vector<problem> problems;
  for (const std::string& folder : o.folders) {
    std::error_code error;
    if (fs::is_directory(folder, error))
      find_files(folder, files, problems);
    else
      problems.push_back({folder, error ? error.message() : std::strerror(ENOTDIR)});
  }
  const std::vector<batch> batches = share_out(files, pool.processes(), "");

  // Once for the page cache, so that neither of the two that are compared waits for the disk.
  static_cast<void>(count_here(batches));

  std::printf("%zu files, %d processes\n", files.size(), pool.processes());
  std::vector<casualty> casualties;
  auto start = std::chrono::steady_clock::now();
  totals all = count_in_pool(pool, batches, files.size(), casualties);
  const double in_pool = seconds_since(start);
  start = std::chrono::steady_clock::now();
  const totals expected = count_here(batches);
  const double in_one = seconds_since(start);

  problems.insert(problems.end(), all.problems.begin(), all.problems.end());
  complain(problems);
  if (all.binary != 0)
    std::fprintf(stderr, "wordcount: binary files left out: %llu\n",
                 static_cast<unsigned long long>(all.binary));
  if (all.words.empty()) {
    std::fprintf(stderr, "wordcount: no words: %s\n",
                 files.empty() ? "there are no files" : "none of the files has text in it");
    return 1;
  }
  print(all);
  std::printf("\n%.2f s with %d processes, %.2f s in one: %.2f times as fast\n", in_pool,
              pool.processes(), in_one, in_one / in_pool);
  if (!all.same_as(expected)) {
    std::fputs("wordcount: the two counts differ; did the files change?\n", stderr);
    return 1;
  }
  return !o.crash || survive(pool, files, expected) ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  const options o = parse(argc, argv);
  try {
    return run(o);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "wordcount: %s\n", e.what());
    return 1;
  }
}
