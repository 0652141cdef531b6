// SPDX-License-Identifier: MIT
// The fast paths, for count.py to count their instructions under callgrind: each is run once to
// warm up, and then so many times between two marks. All in one thread of one process, where the
// same program always executes the same instructions: the calls on a pool whose tasks run in the
// caller, and the channel with both its ends in one hand.
#include <valgrind/callgrind.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <memory>
#include <new>
#include <numeric>
#include <span>
#include <string>
#include <vector>

#include "procpool/procpool.h"
#include "shm/channel.h"

namespace {

int increment(int x) { return x + 1; }
std::string same(std::string s) { return s; }

std::vector<int> numbers(int n) {
  std::vector<int> all(static_cast<std::size_t>(n));
  std::iota(all.begin(), all.end(), 0);
  return all;
}

/// `items`: how many each call of f handles.
template <class F>
void count(const std::string& name, int items, F f) {
  static std::deque<std::string> marks;  // read when the dump is written, which is later
  marks.push_back(name + " " + std::to_string(items));
  f();
  CALLGRIND_ZERO_STATS;
  f();
  CALLGRIND_DUMP_STATS_AT(marks.back().c_str());
}

void calls() {
  procpool::pool pool({.start_method = procpool::start_method::in_process});
  constexpr int many = 2000;
  count("apply", many, [&] {
    for (int i = 0; i < many; ++i)
      if (pool.apply(increment, i) != i + 1) std::abort();
  });
  std::vector<procpool::async_result<int>> results(many);
  count("apply_async and get", many, [&] {
    for (int i = 0; i < many; ++i)
      results[static_cast<std::size_t>(i)] = pool.apply_async(increment, i);
    for (auto& r : results) r.get();
  });
  const std::string text(1000, 'x');
  count("apply, 1000 characters", many, [&] {
    for (int i = 0; i < many; ++i) pool.apply(same, text);
  });
  constexpr int items = 100'000;
  const std::vector<int> xs = numbers(items);
  count("map", items, [&] { pool.map({.chunksize = 10'000}, increment, xs); });
  const auto stream = [&](std::size_t chunksize, const std::vector<int>& from) {
    long sum = 0;
    for (int y : pool.imap({.chunksize = chunksize}, increment, from)) sum += y;
    if (sum == 0) std::abort();
  };
  count("imap, chunksize 1000", items, [&] { stream(1000, xs); });
  const std::vector<int> few = numbers(many);
  count("imap, chunksize 1", many, [&] { stream(1, few); });
}

void channel() {
  namespace shm = procpool::shm;
  constexpr std::size_t results = 1 << 20;
  const auto block = [](std::size_t size) {
    void* at = std::aligned_alloc(4096, size);
    if (at == nullptr) throw std::bad_alloc();
    return std::unique_ptr<void, void (*)(void*)>(std::memset(at, 0, size), std::free);
  };
  const auto head_block = block(8192);
  const auto window_block = block(shm::results_at + results);
  auto& head = *new (head_block.get()) shm::header{};
  auto& window = *new (window_block.get()) shm::window{};
  head.parcels_at = head.parcels_size = 4096;
  shm::parent_half parent(head, window, results, 0);
  parent.prepare(false);
  shm::worker_half worker(head, window, results, -1);
  constexpr int many = 10'000;
  const std::uint64_t argument = 7;
  count("channel, a task and its reply", many, [&] {
    for (int i = 0; i < many; ++i) {
      parent.send({1, 1, 1, 0, 1, std::as_bytes(std::span(&argument, 1)), shm::in_slot, false});
      auto task = worker.receive(~0U);
      std::uint32_t from = 0;
      std::uint32_t to = 0;
      while (task->run->claim(from, to))
        for (; from < to && task->run->starts(from); ++from) task->run->finished(from);
      worker.answer(false);
      parent.release(parent.read()->index);
    }
  });
}

}  // namespace

int main() {
  calls();
  channel();
}
