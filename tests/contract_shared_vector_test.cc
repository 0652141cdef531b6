// SPDX-License-Identifier: MIT
// shared_vector: what is passed on without a copy, both ways, what is copied, and when the memory
// goes back.
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <numeric>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <thread>
#include <tuple>
#include <utility>
#include <variant>
#include <vector>

#include "support/methods.h"

namespace procpool::testing {
namespace {

using doubles = shared_vector<double>;
using bytes = shared_vector<std::uint8_t>;

class vectors : public pool_test {};
class vectors_far : public pool_test {};
PROCPOOL_EVERY_METHOD(vectors);
PROCPOOL_PROCESS_METHODS(vectors_far);

constexpr std::size_t KiB = 1024;
constexpr std::size_t MiB = 1024 * KiB;

/// A figure of /proc/<pid>/status, in bytes.
std::size_t status_of(const std::string& name, pid_t pid = ::getpid()) {
  std::ifstream status("/proc/" + std::to_string(pid) + "/status");
  for (std::string word; status >> word;) {
    if (word != name + ":") continue;
    std::size_t figure = 0;
    status >> figure;
    return figure * KiB;
  }
  throw std::runtime_error("no such figure: " + name);
}
/// What the pool's memory takes of this machine's: of the one pool there is.
std::size_t pool_memory() {
  for (const auto& link : std::filesystem::directory_iterator("/proc/self/fd")) {
    std::error_code gone;
    const auto to = std::filesystem::read_symlink(link, gone);
    if (to.string().find("/memfd:procpool") == std::string::npos) continue;
    struct stat s {};
    if (::stat(link.path().c_str(), &s) != 0) throw std::runtime_error("stat");
    return static_cast<std::size_t>(s.st_blocks) * 512;
  }
  throw std::runtime_error("there is no pool");
}

/// 0, 1, 2, …
doubles counted(pool& p, std::size_t n) {
  doubles v = p.allocate<double>(n);
  std::iota(v.begin(), v.end(), 0.0);
  return v;
}
double sum(std::span<const double> v) { return std::accumulate(v.begin(), v.end(), 0.0); }
double sum_of_vector(const doubles& v) { return sum(v); }
/// Changes what it was given, too.
double sum_of_copy(doubles v) {
  const double s = sum(v);
  std::ranges::fill(v, -1.0);
  return s;
}
/// n elements, each `value`.
bytes filled(std::size_t n, std::uint8_t value) {
  bytes v = this_worker::allocate<std::uint8_t>(n);
  std::ranges::fill(v, value);
  return v;
}
bytes image(int i) { return filled(100 * KiB, static_cast<std::uint8_t>(i)); }
bool all_are(std::span<const std::uint8_t> v, std::size_t n, int value) {
  return v.size() == n &&
         std::ranges::all_of(v, [&](auto b) { return b == static_cast<std::uint8_t>(value); });
}
bool is_image(std::span<const std::uint8_t> v, int i) { return all_are(v, 100 * KiB, i); }

static_assert(std::ranges::contiguous_range<doubles>);
static_assert(std::ranges::contiguous_range<const doubles>);
static_assert(!std::is_copy_constructible_v<doubles>);
static_assert(std::is_nothrow_move_constructible_v<doubles>);
static_assert(sendable<doubles> && sendable<std::vector<doubles>>);

// ---- a vector -----------------------------------------------------------------------------------

TEST_P(vectors, is_a_contiguous_range_that_moves) {
  pool p(with());
  doubles v = counted(p, 4);
  EXPECT_EQ(v.size(), 4u);
  EXPECT_FALSE(v.empty());
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(v.data()) % 64, 0u);
  EXPECT_EQ(std::vector<double>(v.begin(), v.end()), (std::vector<double>{0, 1, 2, 3}));
  EXPECT_EQ(v.front() + v.back() + v[1] + std::as_const(v).at(2), 6);
  EXPECT_THROW(static_cast<void>(v.at(4)), std::out_of_range);
  const std::span<double> s = v;
  s[0] = 9;
  EXPECT_EQ(v[0], 9);

  const double* where = v.data();
  doubles w = std::move(v);
  EXPECT_TRUE(v.empty());  // NOLINT(bugprone-use-after-move): that is what is asked
  EXPECT_EQ(w.data(), where);
  swap(v, w);
  EXPECT_TRUE(w.empty());
  w = std::move(v);
  EXPECT_EQ(w.data(), where);
  w = doubles();
  EXPECT_TRUE(w.empty());
  EXPECT_EQ(w.begin(), w.end());
}

TEST_P(vectors, without_elements_need_no_memory) {
  pool p(with());
  EXPECT_TRUE(p.allocate<double>(0).empty());
  EXPECT_EQ(p.apply(sum, p.allocate<double>(0)), 0);
  EXPECT_EQ(p.apply(sum_of_copy, doubles()), 0);
  EXPECT_TRUE(p.apply(filled, std::size_t{0}, std::uint8_t{1}).empty());
  EXPECT_TRUE(p.apply([] { return doubles(); }).empty());
}

TEST_P(vectors, of_more_elements_than_there_can_be_are_refused) {
  pool p(with());
  EXPECT_THROW(static_cast<void>(p.allocate<double>(~std::size_t{0})), std::bad_alloc);
  EXPECT_THROW(p.apply([] { return this_worker::allocate<double>(~std::size_t{0}); }),
               std::bad_alloc);
  EXPECT_TRUE(is_image(p.apply(image, 3), 3));
}

// In an in_process pool that is for operator new to say.
TEST_P(vectors_far, that_are_too_large_are_refused) {
  pool p(with(1));
  EXPECT_THROW(static_cast<void>(p.allocate<char>(std::size_t{1} << 62)), std::bad_alloc);
  EXPECT_THROW(p.apply([] { return this_worker::allocate<char>(std::size_t{1} << 62); }),
               std::bad_alloc);
  EXPECT_TRUE(is_image(p.apply(image, 3), 3));
}

TEST_P(vectors, come_from_pools_at_work_and_from_workers_alone) {
  pool p(with());
  EXPECT_THROW(static_cast<void>(this_worker::allocate<int>(1)), std::logic_error);
  doubles v = counted(p, 3);
  p.close();
  EXPECT_THROW(static_cast<void>(p.allocate<double>(1)), pool_closed);
  EXPECT_THROW(p.apply(sum, std::move(v)), pool_closed);
  p.join();
}

// ---- arguments ----------------------------------------------------------------------------------

TEST_P(vectors, rvalues_go_as_they_are_and_are_empty_then) {
  pool p(with());
  for (const auto f : {+[](pool&q, doubles v) { return q.apply(sum, std::move(v)); },
                       +[](pool&q, doubles v) { return q.apply(sum_of_vector, std::move(v)); },
                       +[](pool&q, doubles v) { return q.apply(sum_of_copy, std::move(v)); },
                       +[](pool&q, doubles v) {
                         return q.apply([](const auto& x) { return sum(x); }, std::move(v));
                       },
                       +[](pool&q, doubles v) { return q.apply_async(sum, std::move(v)).get(); }}) {
    EXPECT_EQ(f(p, counted(p, 1000)), 499500);
  }
  doubles v = counted(p, 10);
  EXPECT_EQ(p.apply(sum, std::move(v)), 45);
  EXPECT_TRUE(v.empty());  // NOLINT(bugprone-use-after-move)
}

TEST_P(vectors, lvalues_stay_and_are_copied) {
  pool p(with());
  doubles v = counted(p, 1000);
  EXPECT_EQ(p.apply(sum, v), 499500);
  EXPECT_EQ(p.apply(sum_of_vector, std::as_const(v)), 499500);
  EXPECT_EQ(p.apply(sum_of_copy, v), 499500);
  auto later = p.apply_async(sum, v);
  v[0] = 1000;
  EXPECT_EQ(later.get(), 499500);
  EXPECT_EQ(v.size(), 1000u);
  EXPECT_EQ(v[999], 999);
  const doubles w = counted(p, 10);
  EXPECT_EQ(p.apply(sum, std::move(w)), 45);  // NOLINT(performance-move-const-arg)
  EXPECT_EQ(w.size(), 10u);
}

struct alignas(64) wide {
  float x[16];
};
float first_of(const shared_vector<wide>& v) {
  return reinterpret_cast<std::uintptr_t>(v.data()) % 64 == 0 ? v[0].x[0] : -1;
}

TEST_P(vectors, are_aligned_as_their_elements_want) {
  pool p(with());
  auto v = p.allocate<wide>(3);
  v[0].x[0] = 5;
  EXPECT_EQ(p.apply(first_of, v), 5);
  EXPECT_EQ(p.apply(first_of, std::move(v)), 5);
  auto back = p.apply(
      [](int) {
        auto w = this_worker::allocate<wide>(2);
        w[1].x[15] = 4;
        return w;
      },
      1);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(back.data()) % 64, 0u);
  EXPECT_EQ(back[1].x[15], 4);
}

struct frame {
  int width = 0;
  bytes pixels;
  std::optional<doubles> weights;
};
double weight(const frame& f) {
  return f.width + static_cast<double>(f.pixels[0]) + (f.weights ? sum(*f.weights) : 0.0);
}
frame brightened(frame f) {
  for (auto& b : f.pixels) ++b;
  if (f.weights) f.weights->front() = 100;
  return f;
}

TEST_P(vectors, inside_other_values_are_passed_the_same_way) {
  pool p(with());
  const auto make = [&p] {
    frame f{3, p.allocate<std::uint8_t>(2), counted(p, 4)};
    f.pixels[0] = f.pixels[1] = 7;
    return f;
  };
  frame f = make();
  EXPECT_EQ(p.apply(weight, f), 16);
  EXPECT_EQ(f.pixels.size(), 2u);
  EXPECT_EQ(p.apply(weight, std::move(f)), 16);
  EXPECT_TRUE(f.pixels.empty());  // NOLINT(bugprone-use-after-move)
  EXPECT_TRUE(f.weights->empty());

  const frame g = p.apply(brightened, make());
  EXPECT_EQ(g.width, 3);
  EXPECT_TRUE(all_are(g.pixels, 2, 8));
  EXPECT_EQ(sum(g.weights.value()), 106);
  EXPECT_FALSE(p.apply(brightened, frame{1, {}, {}}).weights);

  std::tuple<int, doubles> t(1, counted(p, 3));
  EXPECT_EQ(p.apply([](const std::tuple<int, doubles>& x) { return sum(std::get<1>(x)); }, t), 3);
  std::map<int, doubles> m;
  m.emplace(4, counted(p, 3));
  EXPECT_EQ(p.apply([](const std::map<int, doubles>& x) { return sum(x.at(4)); }, std::move(m)), 3);
  EXPECT_EQ(p.apply([](std::unique_ptr<doubles> x) { return sum(*x); },
                    std::make_unique<doubles>(counted(p, 3))),
            3);
  const auto either = p.apply(
      [](int i) {
        std::variant<int, bytes> v;
        if (i != 0) v = filled(3, 9);
        return v;
      },
      1);
  EXPECT_TRUE(all_are(std::get<bytes>(either), 3, 9));
  const auto many = p.apply(
      [](int n) {
        std::vector<bytes> all;
        for (int i = 0; i < n; ++i) all.push_back(image(i));
        return all;
      },
      20);
  ASSERT_EQ(many.size(), 20u);
  for (int i = 0; i < 20; ++i) EXPECT_TRUE(is_image(many[static_cast<std::size_t>(i)], i));
}

/// A range whose elements are rvalues.
struct moving {
  std::vector<doubles>& all;
  [[nodiscard]] auto begin() const { return std::make_move_iterator(all.begin()); }
  [[nodiscard]] auto end() const { return std::make_move_iterator(all.end()); }
};

TEST_P(vectors, of_a_range_that_is_given_away_are_moved_others_copied) {
  pool p(with());
  const auto make = [&p] {
    std::vector<doubles> all;
    for (std::size_t i = 1; i <= 30; ++i) all.push_back(counted(p, i * 100));
    return all;
  };
  std::vector<double> right;
  for (const doubles& v : make()) right.push_back(sum(v));
  const auto all_empty = [](const auto& all) {
    return std::ranges::all_of(all, [](const doubles& v) { return v.empty(); });
  };

  std::vector<doubles> kept = make();
  EXPECT_EQ(p.map({.chunksize = 4}, sum, kept), right);
  EXPECT_EQ(p.map(sum, std::span(kept)), right);
  EXPECT_EQ(p.map(sum, std::as_const(kept)), right);
  EXPECT_EQ(kept.back().size(), 3000u);
  EXPECT_EQ(p.map({.chunksize = 4}, sum, std::move(kept)), right);
  EXPECT_TRUE(all_empty(kept));  // NOLINT(bugprone-use-after-move)
  kept = make();
  moving elements{kept};
  EXPECT_EQ(p.map(sum, elements), right);
  EXPECT_TRUE(all_empty(kept));
  kept = make();
  EXPECT_EQ(p.map_async(sum_of_copy, std::move(kept)).get(), right);

  std::vector<double> streamed;
  for (double s : p.imap({.chunksize = 3}, sum_of_vector, make())) streamed.push_back(s);
  EXPECT_EQ(streamed, right);

  std::vector<std::pair<double, doubles>> pairs;
  for (doubles& v : make()) pairs.emplace_back(1.0, std::move(v));
  const auto plus = [](double a, const doubles& v) { return a + sum(v); };
  const auto first = p.starmap(plus, pairs);
  EXPECT_EQ(pairs[0].second.size(), 100u);
  EXPECT_EQ(p.starmap(plus, std::move(pairs)), first);
  EXPECT_EQ(first[0], right[0] + 1);
  EXPECT_TRUE(pairs[0].second.empty());  // NOLINT(bugprone-use-after-move)
}

TEST_P(vectors, of_another_pool_and_results_are_copied_into_the_message) {
  pool p(with());
  pool other(with());
  doubles v = counted(other, 1000);
  EXPECT_EQ(p.apply(sum, std::move(v)), 499500);
  EXPECT_TRUE(v.empty());  // NOLINT(bugprone-use-after-move)
  bytes result = p.apply(image, 7);
  EXPECT_TRUE(p.apply([](const bytes& b) { return is_image(b, 7); }, std::move(result)));
  EXPECT_TRUE(result.empty());  // NOLINT(bugprone-use-after-move)
}

TEST_P(vectors, can_be_shared_without_a_copy) {
  pool p(with(1));
  doubles v = counted(p, 1000);
  const auto copied = p.share(v);
  EXPECT_EQ(v.size(), 1000u);
  const auto given = p.share(std::move(v));
  EXPECT_TRUE(v.empty());  // NOLINT(bugprone-use-after-move)
  static_assert(std::same_as<decltype(*given), std::span<const double>>);
  for (const auto h : {copied, given})
    EXPECT_EQ(p.map([h](int i) { return sum(*h) + i; }, indices(3)),
              (std::vector<double>{499500, 499501, 499502}));
  p.unshare(given);
  EXPECT_THROW(p.apply([given] { return sum(*given); }), error);
  const auto from_result = p.share(p.apply(image, 2));
  EXPECT_TRUE(p.apply([from_result] { return is_image(*from_result, 2); }));
}

TEST_P(vectors, in_bound_state_and_for_the_initializer_are_copies) {
  pool p(with());
  const auto f = [](const doubles& v, int i) { return sum(v) + i; };
  EXPECT_EQ(p.map(bind(f, counted(p, 4)), indices(2)), (std::vector<double>{6, 7}));
  EXPECT_EQ(p.apply(bind(f, counted(p, 4)), 1), 7);
  auto options = with();
  options.initializer = task([](doubles v) { return v; }, counted(p, 4));
  pool q(options);
  EXPECT_EQ(q.apply([] { return sum(this_worker::state<doubles>()); }), 6);
}

// ---- results ------------------------------------------------------------------------------------

TEST_P(vectors, returned_are_what_the_worker_wrote) {
  pool p(with());
  EXPECT_TRUE(is_image(p.apply(image, 3), 3));
  std::vector<int> ids(50);
  std::iota(ids.begin(), ids.end(), 0);
  std::vector<bytes> all = p.map(image, ids);
  for (std::size_t i = 0; i < ids.size(); ++i) EXPECT_TRUE(is_image(all[i], ids[i])) << i;
  all[3][0] = 77;  // the parent's own, to be written
  EXPECT_EQ(all[3][0], 77);
  EXPECT_TRUE(is_image(all[4], 4));
  auto outcomes = p.try_map(
      {.chunksize = 7},
      [](int i) {
        bytes b = image(i);
        if (i % 5 == 4) throw std::runtime_error("no image");
        return b;
      },
      ids);
  for (std::size_t i = 0; i < ids.size(); ++i) {
    ASSERT_EQ(bool(outcomes[i]), i % 5 != 4);
    if (!outcomes[i]) continue;
    EXPECT_TRUE(is_image(*outcomes[i], ids[i])) << i;
  }
  int next = 0;
  for (const bytes& b : p.imap(image, ids)) EXPECT_TRUE(is_image(b, next++));
  EXPECT_EQ(next, 50);
}

/// Two vectors, then something that cannot be encoded.
struct torn {
  bytes first, second;
  int fuse = 0;
  template <class Archive>
  void save(Archive& a) const {
    a(first, second);
    if (fuse != 0) throw std::runtime_error("no further");
    a(fuse);
  }
  template <class Archive>
  void load(Archive& a) {
    a(first, second, fuse);
  }
};

TEST_P(vectors, in_values_with_functions_of_their_own_go_too) {
  pool p(with());
  const auto make = [](int fuse) { return torn{image(1), image(2), fuse}; };
  const torn t = p.apply(make, 0);
  EXPECT_TRUE(is_image(t.first, 1) && is_image(t.second, 2));
  for (int i = 0; i < 20; ++i) EXPECT_THROW(p.apply(make, 1), serialization_error);
}

TEST_P(vectors, passed_through_a_task_come_back) {
  pool p(with());
  const doubles v = p.apply(
      [](doubles x) {
        x[0] = 5;
        return x;
      },
      counted(p, 1000));
  EXPECT_EQ(sum(v), 499505);
  // What a task only looks at it can still return: as a copy.
  const doubles w = p.apply([](const doubles& x) { return std::move(const_cast<doubles&>(x)); },
                            counted(p, 1000));
  EXPECT_EQ(sum(w), 499500);
}

TEST_P(vectors, are_filled_by_several_threads_of_a_worker) {
  pool p(with());
  const auto all = p.apply(
      [](int n) {
        std::vector<bytes> made(static_cast<std::size_t>(n));
        std::vector<std::thread> threads;
        for (int i = 0; i < n; ++i)
          threads.emplace_back([&made, i] {
            try {
              for (int k = 0; k < 50; ++k) made[static_cast<std::size_t>(i)] = image(i);
            } catch (
                const std::logic_error&) {  // in_process: only the task's thread is in a worker
            }
          });
        for (auto& t : threads) t.join();
        for (int i = 0; i < n; ++i)
          if (made[static_cast<std::size_t>(i)].empty())
            made[static_cast<std::size_t>(i)] = image(i);
        return made;
      },
      4);
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(is_image(all[static_cast<std::size_t>(i)], i));
}

TEST_P(vectors, outlive_the_pool) {
  std::optional<pool> p(with());
  bytes result = p->apply(image, 5);
  doubles argument = counted(*p, 1000);
  p.reset();
  EXPECT_TRUE(is_image(result, 5));
  result[0] = 6;
  EXPECT_EQ(sum(argument), 499500);
  pool q(with());
  EXPECT_EQ(q.apply(sum, std::move(argument)), 499500);
}

// ---- no copy ------------------------------------------------------------------------------------

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr std::size_t large = 64 * MiB;
#else
constexpr std::size_t large = 512 * MiB;
#endif

// The thread sanitizer keeps notes, in private memory, of what was read and written; the address
// sanitizer an eighth as many, which take memory where the kernel has no page of zeros for all who
// only read, as some virtual machines'.
#if defined(__SANITIZE_THREAD__)
constexpr bool notes_each_byte = true;
#else
constexpr bool notes_each_byte = false;
#endif
#if defined(__SANITIZE_ADDRESS__)
constexpr std::size_t few = large / 8 + large / 8;
#else
constexpr std::size_t few = large / 8;
#endif

TEST_P(vectors_far, large_arguments_are_in_memory_once) {
  pool p(with(1));
  struct report {
    double sum;
    std::size_t own;
  };
  static constexpr auto look = [](std::span<const double> v) {
    return report{sum(v), status_of("RssAnon")};
  };
  [[maybe_unused]] const std::size_t before = p.apply(look, counted(p, 1)).own;
  doubles v = p.allocate<double>(large / sizeof(double));
  std::ranges::fill(v, 1.0);
  EXPECT_LT(pool_memory(), large + large / 4);
  const auto made = p.apply(look, std::move(v));
  EXPECT_EQ(made.sum, static_cast<double>(large / sizeof(double)));
  if (!notes_each_byte) {
    EXPECT_LT(made.own, before + few);
  }
  EXPECT_LT(pool_memory(), large / 2 + 256 * MiB);  // it was given back
}

TEST_P(vectors_far, large_results_are_in_memory_once) {
  pool p(with(1));
  static constexpr auto own = [] { return status_of("RssAnon"); };
  const std::size_t before = own();
  [[maybe_unused]] const std::size_t before_there = p.apply(own);
  bytes b = p.apply([](std::size_t n) { return filled(n, 3); }, large);
  EXPECT_EQ(b.back(), 3);
  EXPECT_LT(pool_memory(), large + large / 4);
  EXPECT_LT(own(), before + few);
  if (!notes_each_byte) {
    EXPECT_LT(p.apply(own), before_there + few);
  }
}

// ---- the memory goes back -----------------------------------------------------------------------

constexpr std::size_t piece = 64 * MiB;
/// Much memory, of which little is touched: what is not given back adds up all the same.
bytes much(int i) {
  bytes b = this_worker::allocate<std::uint8_t>(piece);
  for (std::size_t at = 0; at < piece; at += 256 * KiB) b[at] = static_cast<std::uint8_t>(i);
  return b;
}

TEST_P(vectors_far, results_that_nobody_wants_any_more_are_given_back) {
  pool p(with(1));
  for (int i = 0; i < 2000; ++i) {
    bytes b = p.apply(much, i);
    ASSERT_EQ(b[0], static_cast<std::uint8_t>(i));
  }
  EXPECT_LT(pool_memory(), 64 * MiB);
  // More at once than a worker keeps warm; then a worker that has nothing to do gives it back.
  {
    std::vector<bytes> all = p.map(much, indices(64));
    EXPECT_EQ(all[63][0], 63);
  }
  EXPECT_TRUE(eventually([] { return pool_memory() < 16 * MiB; })) << pool_memory();
}

TEST_P(vectors_far, results_that_nobody_asks_for_are_given_back) {
  pool p(with(1));
  for (int i = 0; i < 500; ++i) {
    auto dropped = p.apply_async(much, i);
    if (i % 3 == 0) static_cast<void>(dropped.cancel());
    if (i % 50 == 0) p.apply([] {});
  }
  // Made, and not returned.
  for (int i = 0; i < 500; ++i)
    EXPECT_EQ(p.apply([](int k) { return int{much(k)[0]}; }, i % 100), i % 100);
  // Of a reply that another item spoils.
  for (int i = 0; i < 100; ++i)
    EXPECT_THROW(p.apply(
                     [](int k) {
                       torn t{much(k), {}, 1};
                       return t;
                     },
                     i),
                 serialization_error);
  EXPECT_LT(pool_memory(), 64 * MiB);
}

TEST_P(vectors_far, arguments_are_given_back) {
  pool p(with(2));
  for (int i = 0; i < 1000; ++i) {
    auto v = p.allocate<std::uint8_t>(piece);
    v[0] = 1;
    if (i % 2 == 0) p.apply([](std::span<const std::uint8_t> b) { return b[0]; }, std::move(v));
  }
  auto cancelled = p.apply_async([](const bytes& b) { return b[0]; }, p.allocate<std::uint8_t>(9));
  static_cast<void>(cancelled.cancel());
  EXPECT_LT(pool_memory(), 64 * MiB);
}

// ---- a worker's end -----------------------------------------------------------------------------

[[noreturn]] void die() {
  ::kill(::getpid(), SIGKILL);
  for (;;) ::pause();
}

/// Takes most of what a worker's results have, writes to it, and gives it back.
int sweep(int value) {
  std::vector<bytes> all;
  for (int i = 0; i < 400; ++i) all.push_back(filled(100 * KiB, static_cast<std::uint8_t>(value)));
  for (int i = 0; i < 40; ++i) all.push_back(filled(700 * KiB, static_cast<std::uint8_t>(value)));
  return static_cast<int>(all.size());
}

TEST_P(vectors_far, results_outlive_the_worker_and_those_that_follow) {
  pool p(with(1));
  std::vector<bytes> held = p.map(image, indices(20));
  for (int round = 0; round < 4; ++round) {
    EXPECT_THROW(p.apply([] { die(); }), worker_died);
    // Some go while there is no worker, some when there is another.
    for (int i = 0; i < 2; ++i) held.pop_back();
    EXPECT_EQ(p.apply(sweep, 100 + round), 440);
    for (int i = 0; i < 2; ++i) held.pop_back();
    EXPECT_EQ(p.apply(sweep, 200 + round), 440);
    for (std::size_t i = 0; i < held.size(); ++i)
      ASSERT_TRUE(is_image(held[i], static_cast<int>(i))) << "round " << round << ", image " << i;
    held.push_back(p.apply(image, static_cast<int>(held.size())));
  }
  EXPECT_EQ(held.size(), 8u);
}

TEST_P(vectors_far, results_outlive_workers_that_are_replaced_or_not_needed) {
  auto options = with(3);
  options.max_tasks_per_child = 7;
  pool p(options);
  std::vector<bytes> held = p.map({.chunksize = 3}, image, indices(60));
  p.resize(1);
  EXPECT_EQ(p.map(sweep, std::vector<int>(20, 200)), std::vector<int>(20, 440));
  p.resize(3);
  EXPECT_EQ(p.map(sweep, std::vector<int>(20, 201)), std::vector<int>(20, 440));
  for (int i = 0; i < 60; ++i) EXPECT_TRUE(is_image(held[static_cast<std::size_t>(i)], i)) << i;
}

TEST_P(vectors_far, what_a_dead_worker_had_finished_is_kept) {
  pool p(with(1));
  auto outcomes = p.try_map(
      {.chunksize = 30},
      [](int i) {
        if (i == 20) die();
        return image(i);
      },
      indices(30));
  EXPECT_EQ(p.apply(sweep, 250), 440);
  for (int i = 0; i < 30; ++i) {
    auto& o = outcomes[static_cast<std::size_t>(i)];
    ASSERT_EQ(bool(o), i != 20);
    if (!o) continue;
    EXPECT_TRUE(is_image(*o, i)) << i;
  }
}

TEST_P(vectors_far, arguments_are_there_again_for_a_retry) {
  pool p(with(1));
  static constexpr auto at_second = [](const std::string& mark, std::span<const double> v) {
    if (::access(mark.c_str(), F_OK) != 0) {
      std::ofstream(mark) << "seen";
      die();
    }
    return sum(v);
  };
  const std::string mark = "vectors_retry_" + std::to_string(::getpid());
  EXPECT_EQ(p.apply({.retries = 2}, at_second, mark, counted(p, 1000)), 499500);
  ::unlink(mark.c_str());
}

// ---- forked copies ------------------------------------------------------------------------------

TEST_P(vectors_far, a_forked_copy_of_this_process_takes_nothing_back) {
  pool p(with(1));
  bytes result = p.apply(image, 9);
  doubles argument = counted(p, 1000);
  const pid_t child = ::fork();
  if (child == 0) {
    bool refused = false;
    try {
      static_cast<void>(p.allocate<int>(1));
    } catch (const wrong_process&) {
      refused = true;
    }
    result = bytes();
    argument = doubles();
    ::_exit(refused ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(p.apply(sweep, 200), 440);
  EXPECT_TRUE(is_image(result, 9));
  EXPECT_EQ(p.apply(sum, std::move(argument)), 499500);
}

TEST_P(vectors_far, a_process_that_a_task_forks_takes_nothing_either) {
  pool p(with(1));
  const bytes b = p.apply(
      [](int i) {
        bytes made = image(i);
        const pid_t child = ::fork();
        if (child == 0) {
          made = bytes();
          try {
            made = image(1);
          } catch (const std::logic_error&) {
            ::_exit(0);
          }
          ::_exit(1);
        }
        int status = 0;
        if (::waitpid(child, &status, 0) != child || status != 0) throw std::runtime_error("no");
        return made;
      },
      4);
  EXPECT_EQ(p.apply(sweep, 200), 440);
  EXPECT_TRUE(is_image(b, 4));
}

// The worker passes the memory on from one thread to the other, which no tool of this process sees.
TEST_P(vectors_far, that_one_thread_drops_are_room_for_the_result_of_another) {
  pool p(with(1));
  for (int round = 0; round < 8; ++round) {
    std::optional<bytes> held = p.apply(image, 3);
    std::atomic<bool> dropped{false};
    std::thread other([&] {
      while (!dropped.load(std::memory_order_relaxed)) std::this_thread::yield();
      p.apply([] {});  // the worker looks what it has back
      const std::vector<int> some{1, 2, 3, 4};
      const auto text = [](int i) { return std::string(100 * KiB + i, 'x'); };
      const auto texts = p.map({.chunksize = 1}, text, some);
      for (std::size_t i = 0; i < some.size(); ++i) EXPECT_EQ(texts[i], text(some[i]));
    });
    for (std::uint8_t& b : *held) b = 0;
    held.reset();
    dropped.store(true, std::memory_order_relaxed);
    other.join();
  }
}

// A pool in a worker has a memory of its own: what is passed on between the two is copied.
TEST_P(vectors_far, pass_through_a_pool_in_a_worker) {
  pool p(with(1));
  const bytes b = p.apply(
      [](int i) {
        pool inner(1);
        bytes made = image(i);
        if (!inner.apply([](const bytes& x) { return x.size() == 100 * KiB; }, std::move(made)))
          throw std::runtime_error("no");
        return inner.apply(image, i + 1);
      },
      4);
  EXPECT_TRUE(is_image(b, 5));
}

}  // namespace
}  // namespace procpool::testing
