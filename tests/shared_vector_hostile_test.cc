// SPDX-License-Identifier: MIT
// A worker that lies about its vectors: where they lie, how large they are, of what type; or writes
// over the heads of those that the parent holds. Its own task fails, or has elements of its
// worker's choice; what the parent holds stays what it is, and is never another vector's.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdint>
#include <fstream>
#include <memory>
#include <random>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "base/process_mark.h"
#include "channel_fixture.h"
#include "procpool/procpool.h"
#include "shm/held_blocks.h"
#include "support/methods.h"

namespace procpool {
namespace {

using bytes = shared_vector<std::uint8_t>;
constexpr std::size_t page = 4096;
constexpr std::size_t usual = 10000;  // a block of four pages

// ---- a pool's worker ----------------------------------------------------------------------------

class hostile_vectors : public testing::pool_test {};
PROCPOOL_PROCESS_METHODS(hostile_vectors);

/// What lies in this worker's results; the window before them.
std::byte* results_here() {
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    if (line.find("/memfd:procpool") == std::string::npos) continue;
    if (line.find(" rw-s ") == std::string::npos) continue;
    return reinterpret_cast<std::byte*>(std::stoull(line, nullptr, 16)) + shm::results_at;
  }
  throw std::runtime_error("no window");
}
std::uint64_t place_of(const bytes& v) {
  return static_cast<std::uint64_t>(reinterpret_cast<const std::byte*>(v.data()) - results_here()) -
         shm::vector_head_size;
}

/// Vectors as a worker says they are.
struct claim {
  std::uint64_t place = 0;
  std::uint64_t count = 0;
  std::uint64_t type = detail::vector_type<std::uint8_t>();
  detail::vector_kind kind = detail::vector_kind::block;
};
struct liar {
  std::vector<claim> claims;
  std::vector<bytes> vectors;
  template <class Archive>
  void save(Archive& a) const {
    a(claims.size());
    for (const claim& c : claims) {
      a.raw(&c.kind, sizeof c.kind);
      a.raw(&c.type, sizeof c.type);
      a.raw(&c.place, sizeof c.place);
      a.raw(&c.count, sizeof c.count);
    }
  }
  template <class Archive>
  void load(Archive& a) {
    std::size_t n = 0;
    a(n);
    for (; n != 0; --n) a(vectors.emplace_back());
  }
};
liar lie(std::vector<claim> claims) { return {std::move(claims), {}}; }

/// The next block of that size that this worker gives out.
struct truth {
  std::uint64_t place = 0;
  bytes vector;
};
truth tell(std::uint8_t value) {
  bytes v = this_worker::allocate<std::uint8_t>(usual);
  std::ranges::fill(v, value);
  const std::uint64_t place = place_of(v);
  return {place, std::move(v)};
}
bool all_are(const bytes& v, int value) {
  return v.size() == usual &&
         std::ranges::all_of(v, [&](auto b) { return b == static_cast<std::uint8_t>(value); });
}

TEST_P(hostile_vectors, what_cannot_be_is_refused) {
  pool p(with(1));
  const truth held = p.apply(tell, std::uint8_t{7});
  const truth free = p.apply(tell, std::uint8_t{8});
  const std::uint64_t elsewhere = 64 * page;
  const std::uint64_t many = ~std::uint64_t{0};
  const std::vector<std::vector<claim>> lies{
      {{elsewhere + 1, usual}},           // no block begins there
      {{elsewhere + page, usual}},        // none so large
      {{many, usual}},                    // outside
      {{many - page + 1, usual}},         //
      {{std::uint64_t{1} << 50, usual}},  //
      {{elsewhere, 0}},                   // impossible sizes
      {{elsewhere, many}},                //
      {{elsewhere, many - 63}},           //
      {{0, std::uint64_t{1} << 50}},      //
      {{elsewhere, usual, 12345}},        // of another type
      {{elsewhere, usual, detail::vector_type<std::int8_t>()}},
      {{held.place, usual}},                        // the parent holds it,
      {{held.place + page, 1}},                     // a part of it,
      {{0, 16 * usual}},                            // more than it,
      {{elsewhere, usual}, {elsewhere, usual}},     // now it does
      {{elsewhere, usual}, {elsewhere + page, 9}},  //
      {{elsewhere, 9}, {elsewhere, usual}},         //
      {{elsewhere, usual, 0, detail::vector_kind::published}},
      {{elsewhere, usual, 0, static_cast<detail::vector_kind>(9)}}};
  for (std::size_t i = 0; i < lies.size(); ++i) {
    EXPECT_THROW(p.apply(lie, lies[i]), serialization_error) << "lie " << i;
    EXPECT_TRUE(all_are(p.apply(tell, std::uint8_t{9}).vector, 9)) << "after lie " << i;
  }
  EXPECT_TRUE(all_are(held.vector, 7));
  EXPECT_TRUE(all_are(free.vector, 8));
}

// Memory that the worker never gave out is believed to be a vector; it is the worker's to lose.
TEST_P(hostile_vectors, what_can_be_is_the_worker_s_own_loss) {
  pool p(with(1));
  for (int round = 0; round < 3; ++round) {
    {
      const liar l = p.apply(lie, std::vector<claim>{{64 * page, usual}, {1024 * page, 1}});
      EXPECT_EQ(l.vectors.at(0).size(), usual);
      EXPECT_EQ(l.vectors.at(1)[0], 0);
      for (int i = 0; i < 100; ++i)
        EXPECT_TRUE(all_are(p.apply(tell, static_cast<std::uint8_t>(i)).vector, i));
    }
    EXPECT_THROW(p.apply([] { ::kill(::getpid(), SIGKILL); }), worker_died);
  }
}

/// Anything over the words that both sides use of vectors, then a death.
void spoil_heads(std::uint32_t seed) {
  std::mt19937_64 random(seed);
  std::byte* results = results_here();
  auto& own = *reinterpret_cast<shm::window*>(results - shm::results_at);
  const auto number = [&]() -> std::uint64_t {
    switch (random() % 4) {
      case 0:
        return random() % 4;
      case 1:
        return random() % 64 * page + random() % 2;
      case 2:
        return ~std::uint64_t{0} - random() % 2 * (page - 1);
      default:
        return random();
    }
  };
  for (std::size_t at = 0; at < 256 * page; at += page) {
    auto& head = *reinterpret_cast<shm::vector_head*>(results + at);
    head.state = static_cast<std::uint32_t>(number());
    head.size = number();
    head.next = number();
  }
  own.held = number();
  own.dropped = static_cast<std::uint32_t>(number());
  if (seed % 2 == 0) ::kill(::getpid(), SIGKILL);
}

TEST_P(hostile_vectors, spoilt_heads_harm_nobody_who_comes_later) {
  pool p(with(1));
  for (std::uint32_t seed = 0; seed < 12; ++seed) {
    // Every page has what could be a head; what stands at these two places is never in one.
    std::vector<truth> held = p.map(tell, std::vector<std::uint8_t>{1, 2, 3, 4, 5, 6});
    const auto whole = [&] {
      for (std::size_t i = 0; i < held.size(); ++i)
        if (held[i].vector[0] != i + 1 || held[i].vector[4000] != i + 1) return false;
      return true;
    };
    if (seed % 2 == 0) {
      EXPECT_THROW(p.apply(spoil_heads, seed), worker_died);
    } else {
      p.apply(spoil_heads, seed);
    }
    EXPECT_TRUE(whole()) << seed;
    held.pop_back();
    if (seed % 2 != 0) {
      EXPECT_THROW(p.apply([] { ::kill(::getpid(), SIGKILL); }), worker_died);
    }
    held.pop_back();
    for (int i = 0; i < 50; ++i)
      EXPECT_TRUE(all_are(p.apply(tell, static_cast<std::uint8_t>(i)).vector, i));
    EXPECT_TRUE(whole()) << seed;
  }
}

}  // namespace
}  // namespace procpool

// ---- the two halves alone -----------------------------------------------------------------------

namespace procpool::shm {
namespace {

constexpr std::size_t page = 4096;
constexpr std::size_t results_size = 64 * page;

class vector_halves : public ::testing::Test {
 protected:
  struct worker_side {
    explicit worker_side(const channel_memory& m)
        : results(std::make_shared<own_results>(m.own(), results_of(m), m.results_size())) {}
    std::shared_ptr<own_results> results;

    /// A vector of so many bytes goes with the next answer; its place.
    [[nodiscard]] std::uint64_t give(std::size_t n) const {
      auto v = results->allocate(n);
      const std::uint64_t place = v->name().at;
      results->give(*v->give());
      return place;
    }
  };
  static std::byte* results_of(const channel_memory& m) {
    return reinterpret_cast<std::byte*>(&m.own()) + results_at;
  }
  /// Blocks of a page that the worker can give out.
  static int free_pages(const worker_side& w) {
    std::vector<std::unique_ptr<detail::vector_memory>> all;
    try {
      for (;;) all.push_back(w.results->allocate(100));
    } catch (const std::bad_alloc&) {
    }
    return static_cast<int>(all.size());
  }
  void answer(const worker_side& w, std::uint32_t index) const {
    memory.own().replies[index % ring_slots].word = lap_of(index);
    w.results->answered(index);
  }
  void release(std::uint32_t index) const { memory.own().replies[index % ring_slots].word = 0; }

  channel_memory memory{results_size};
  std::shared_ptr<held_blocks> held = std::make_shared<held_blocks>(
      nullptr, std::make_shared<const base::process_mark>(), memory.own(), results_size);
};

TEST_F(vector_halves, a_block_is_free_when_the_parent_has_done_with_it) {
  held->starting();
  const worker_side w(memory);
  ASSERT_EQ(free_pages(w), 64);
  const auto taken = w.give(100);
  static_cast<void>(w.give(100));  // the parent does not want it
  w.results->allocate(100).reset();
  answer(w, 5);
  EXPECT_EQ(free_pages(w), 62) << "the answer has not been looked at";
  auto v = held->take(taken, 100);
  EXPECT_EQ(v->data(), results_of(memory) + taken + vector_head_size);
  release(5);
  EXPECT_EQ(free_pages(w), 63);
  v.reset();
  EXPECT_EQ(free_pages(w), 64);
  EXPECT_TRUE(held->empty());
}

TEST_F(vector_halves, what_goes_with_an_answer_is_not_free_before_it) {
  held->starting();
  const worker_side w(memory);
  static_cast<void>(w.give(100));
  release(7);
  EXPECT_EQ(free_pages(w), 63);
  answer(w, 7);
  release(7);
  EXPECT_EQ(free_pages(w), 64);
}

TEST_F(vector_halves, the_next_worker_leaves_alone_what_is_held) {
  held->starting();
  std::vector<std::unique_ptr<detail::vector_memory>> all;
  {
    const worker_side w(memory);
    for (std::size_t n : {100, 5000, 20000, 100}) {
      all.push_back(held->take(w.give(n), n));
      std::fill_n(all.back()->data(), n, std::byte{7});
    }
  }
  all.erase(all.begin());
  held->ended(0);
  held->starting();
  const worker_side next(memory);
  EXPECT_EQ(free_pages(next), 64 - 2 - 8 - 1);
  all.pop_back();
  EXPECT_EQ(free_pages(next), 64 - 2 - 8);
  EXPECT_EQ(all[0]->data()[4999], std::byte{7});
  EXPECT_EQ(all[1]->data()[19999], std::byte{7});
  all.clear();
  EXPECT_EQ(free_pages(next), 64);
}

TEST_F(vector_halves, any_list_is_walked_to_an_end) {
  std::mt19937_64 random(1);
  for (int round = 0; round < 2000; ++round) {
    const auto number = [&]() -> std::uint64_t {
      switch (random() % 3) {
        case 0:
          return random() % 66 * page + random() % 3;
        case 1:
          return page << random() % 8;
        default:
          return random();
      }
    };
    memory.own().held = number();
    for (std::size_t at = 0; at < results_size; at += page) {
      auto& head = *reinterpret_cast<vector_head*>(results_of(memory) + at);
      head.next = number();
      head.size = number();
      head.state = static_cast<std::uint32_t>(random() % 4);
    }
    const worker_side w(memory);
    w.results->answered(0);
    w.results->tidy();
    EXPECT_LE(free_pages(w), 64);
  }
}

}  // namespace
}  // namespace procpool::shm
