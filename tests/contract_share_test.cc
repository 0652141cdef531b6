// SPDX-License-Identifier: MIT
// pool.share: what tasks see, for how long, and what it costs in memory.
#include <sys/types.h>
#include <unistd.h>

#include <array>
#include <complex>
#include <csignal>
#include <cstdint>
#include <fstream>
#include <map>
#include <memory>
#include <numeric>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "support/methods.h"
#include "support/tasks.h"

namespace procpool::testing {
namespace {

using doubles = std::vector<double>;
using texts = std::vector<std::string>;

class share : public pool_test {};
class share_far : public pool_test {};
PROCPOOL_EVERY_METHOD(share);
PROCPOOL_PROCESS_METHODS(share_far);

/// A figure of /proc/self/status, in kB.
long status_of(const std::string& name) {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    if (word != name + ":") continue;
    long figure = 0;
    status >> figure;
    return figure;
  }
  throw std::runtime_error("no such figure: " + name);
}

/// What is this process's alone, in kB. The thread sanitizer keeps notes of each byte looked at.
long private_memory() {
#if defined(__SANITIZE_THREAD__)
  return 0;
#else
  return status_of("RssAnon");
#endif
}
/// What this process uses, in kB. Sanitizers keep freed memory for a while; of shared memory they
/// know nothing.
long memory() {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  return status_of("RssShmem");
#else
  return status_of("RssAnon") + status_of("RssShmem");
#endif
}

// ---- what a task sees ---------------------------------------------------------------------------

struct point {
  double x = 0, y = 0;
};
struct alignas(64) wide {
  int k = 0;
};

TEST_P(share, plain_values_and_containers_of_them_are_seen_where_they_lie) {
  pool p(with());
  const auto v = p.share(doubles{1, 2, 4});
  static_assert(std::same_as<decltype(*v), std::span<const double>>);
  EXPECT_EQ(p.map([v](std::size_t i) { return (*v)[i] + static_cast<double>(v->size()); },
                  indices(std::size_t{3})),
            (doubles{4, 5, 7}));

  const auto s = p.share(std::string("some text"));
  static_assert(std::same_as<decltype(*s), std::string_view>);
  EXPECT_EQ(p.apply([s] { return std::string(*s); }), "some text");
  const auto literal = p.share("literal");
  static_assert(std::same_as<decltype(literal), const shared<std::string>>);
  EXPECT_EQ(p.apply([literal] { return literal->size(); }), 7u);
  EXPECT_EQ(p.apply([h = p.share(std::string_view("view"))] { return std::string(h.get()); }),
            "view");

  const ints xs{5, 6};
  const auto view = p.share(std::span(xs));
  static_assert(std::same_as<decltype(*view), std::span<const int>>);
  EXPECT_EQ(p.apply([view] { return view->back(); }), 6);

  const auto q = p.share(point{1, 2});
  static_assert(std::same_as<decltype(*q), const point&>);
  EXPECT_EQ(p.apply([q] { return q->x + (*q).y; }), 3);
  EXPECT_EQ(p.apply([h = p.share(std::array<int, 3>{1, 2, 3})] { return h->at(2) + (*h)[0]; }), 4);
  EXPECT_EQ(p.apply([h = p.share(7)] { return *h; }), 7);
  EXPECT_EQ(p.apply([h = p.share(std::vector<point>{{1, 2}})] { return (*h)[0].y; }), 2);
  const auto w = p.share(std::vector<wide>(3, wide{8}));
  EXPECT_EQ(p.apply([w] {
    return reinterpret_cast<std::uintptr_t>(w->data()) % 64 == 0 ? (*w)[2].k : -1;
  }),
            8);
}

TEST_P(share, anything_that_can_be_sent_is_read_once_a_worker) {
  pool p(with());
  const auto m = p.share(std::map<std::string, ints>{{"a", {1, 2}}, {"b", {}}});
  static_assert(std::same_as<decltype(*m), const std::map<std::string, ints>&>);
  EXPECT_EQ(p.apply([m] { return m->at("a").size() + m->size(); }), 4u);
  EXPECT_TRUE(p.apply([m] { return &*m == &m.get(); }));
  const auto t = p.share(texts{"x", "yz"});
  EXPECT_EQ(p.map([t](std::size_t i) { return (*t)[i]; }, indices(std::size_t{2})),
            (texts{"x", "yz"}));
  const auto b = p.share(std::vector<bool>{true, false});
  EXPECT_EQ(p.apply([b] { return (*b)[0] && !(*b)[1]; }), true);
  EXPECT_EQ(p.apply([h = p.share(std::make_unique<int>(4))] { return **h; }), 4);
  EXPECT_EQ(p.apply([h = p.share(std::optional<std::string>("o"))] { return h->value(); }), "o");
}

TEST_P(share, the_empty_and_the_odd_are_values) {
  pool p(with());
  EXPECT_EQ(p.apply([h = p.share(doubles{})] { return h->size(); }), 0u);
  EXPECT_EQ(p.apply([h = p.share(std::string())] { return h->size(); }), 0u);
  EXPECT_EQ(p.apply([h = p.share(std::vector<std::string>{})] { return h->size(); }), 0u);
  EXPECT_EQ(p.apply([h = p.share(std::u16string(u"ab"))] { return h->size(); }), 2u);
  EXPECT_EQ(p.apply([h = p.share(std::complex<double>(1, 2))] { return h->imag(); }), 2);
  struct nothing {};
  EXPECT_EQ(p.apply([h = p.share(nothing())] { return sizeof(*h); }), 1u);
}

struct job {
  std::string name;
  shared<doubles> table;
};

TEST_P(share, handles_are_values) {
  pool p(with());
  const auto t = p.share(doubles{1, 2, 4});
  static_assert(sizeof t == 16 && std::is_trivially_copyable_v<shared<doubles>>);
  const auto total = [](shared<doubles> h) { return std::accumulate(h->begin(), h->end(), 0.0); };
  EXPECT_EQ(p.apply(total, t), 7);
  EXPECT_EQ(
      p.apply([](const job& j) { return j.name + std::to_string(j.table->size()); }, job{"j", t}),
      "j3");
  EXPECT_EQ(p.apply([](shared<doubles> h) { return h; }, t), t);
  EXPECT_EQ(p.map(procpool::bind([](shared<doubles> h, int i) { return (*h)[0] + i; }, t), ints{1}),
            doubles{2});
  EXPECT_NE(t, shared<doubles>());
}

TEST_P(share, works_with_streams_and_async_calls) {
  pool p(with());
  const auto t = p.share(first(100));
  const auto at = [t](std::size_t i) { return (*t)[i]; };
  auto stream = p.imap(at, indices(std::size_t{100}));
  EXPECT_EQ(rest_of(stream), first(100));
  EXPECT_EQ(p.map_async(at, indices(std::size_t{100})).get(), first(100));
  EXPECT_EQ(p.apply_async(at, std::size_t{7}).get(), 7);
}

// Of in_process they are the caller's threads, and no worker's.
TEST_P(share_far, threads_of_a_task_see_it_too) {
  pool p(with());
  const auto t = p.share(texts{"a", "b"});
  EXPECT_EQ(p.apply([t] {
    std::vector<std::thread> threads;
    std::atomic<int> right{0};
    for (int i = 0; i < 4; ++i) threads.emplace_back([&] { right += t->size() == 2 ? 1 : 0; });
    for (auto& one : threads) one.join();
    return right.load();
  }),
            4);
}

// ---- for how long -------------------------------------------------------------------------------

// One worker: with two, one's ring may still hold a task that was taken back for the other, and the
// values with it.
TEST_P(share, unshare_takes_it_from_later_tasks) {
  pool p(with(1));
  const auto t = p.share(doubles{1, 2});
  const auto m = p.share(texts{"a"});
  const auto other = p.share(texts{"b"});
  const auto size_of = [](auto h) { return h->size(); };
  EXPECT_EQ(p.apply([=] { return size_of(t) + size_of(m) + size_of(other); }), 4u);
  p.unshare(t);
  p.unshare(m);
  EXPECT_THROW(p.apply([=] { return size_of(t); }), error);
  EXPECT_THROW(p.apply([=] { return size_of(m); }), error);
  EXPECT_EQ(p.apply([=] { return size_of(other); }), 1u);
  try {
    p.apply([=] { return size_of(t); });
  } catch (const error& e) {
    EXPECT_NE(std::string(e.what()).find("unshared"), std::string::npos) << e.what();
  }
}

TEST_P(share, unshare_knows_what_is_shared) {
  pool p(with());
  pool q(with());
  const auto t = p.share(1);
  EXPECT_THROW(q.unshare(t), error);
  EXPECT_EQ(p.apply([t] { return *t; }), 1);
  p.unshare(t);
  EXPECT_THROW(p.unshare(t), error);
  EXPECT_THROW(p.unshare(shared<int>()), error);
}

TEST_P(share_far, unshare_leaves_it_to_tasks_that_were_there_before) {
  board b;
  pool p(with(2));
  const auto t = p.share(std::vector<int>(1 << 20, 3));
  const auto m = p.share(texts(1000, "text"));
  auto running = p.map_async(
      {.chunksize = 1},
      [t, m, at = b.here()](int x) {
        at.add(1);
        at.await(0);
        return (*t)[static_cast<std::size_t>(x)] + static_cast<int>((*m)[0].size());
      },
      first(8));
  b->await(1, 2);
  p.unshare(t);
  p.unshare(m);
  // Other values come and go where those would have been.
  for (int i = 0; i < 20; ++i) p.unshare(p.share(std::vector<int>(1 << 20, 9)));
  b->set(0);
  EXPECT_EQ(running.get(), ints(8, 7));
}

TEST_P(share_far, handles_of_another_pool_are_told) {
  pool p(with(1));
  pool q(with(1));
  const auto t = p.share(doubles{1, 2});
  const auto m = p.share(texts{"a"});
  const auto mine = q.share(doubles{3});
  EXPECT_THROW(q.apply([t] { return t->size(); }), error);
  EXPECT_THROW(q.apply([m] { return m->size(); }), error);
  EXPECT_EQ(q.apply([mine] { return mine->size(); }), 1u);
  pool here({.processes = 1, .start_method = start_method::in_process});
  EXPECT_THROW(here.apply([t] { return t->size(); }), error);
  EXPECT_THROW(p.apply([h = here.share(1)] { return *h; }), error);
}

TEST_P(share, handles_that_were_never_given_are_told) {
  pool p(with(1));
  EXPECT_THROW(p.apply([] { return shared<int>().get(); }), error);
  const auto t = p.share(doubles{1, 2});
  // The same bytes as a handle of another type, and any bytes at all.
  const auto as_another = [](auto h) {
    shared<texts> other;
    static_assert(sizeof other == sizeof h);
    std::memcpy(static_cast<void*>(&other), &h, sizeof h);
    return other;
  };
  EXPECT_THROW(p.apply([o = as_another(t)] { return o->size(); }), error);
  std::array<std::uint64_t, 2> words{};
  std::memcpy(words.data(), &t, sizeof t);
  for (const std::uint64_t at : {std::uint64_t{0}, std::uint64_t{1}, words[1] + 8, words[1] + 4096,
                                 std::uint64_t{1} << 40, ~std::uint64_t{0}, ~std::uint64_t{7}}) {
    if (at == words[1]) continue;
    shared<doubles> wrong;
    const std::array<std::uint64_t, 2> made{words[0], at};
    std::memcpy(static_cast<void*>(&wrong), made.data(), sizeof wrong);
    EXPECT_THROW(p.apply([wrong] { return wrong->size(); }), error) << at;
  }
  EXPECT_EQ(p.apply([t] { return t->size(); }), 2u);
}

TEST_P(share, outside_a_task_a_handle_is_a_handle) {
  pool p(with());
  const auto t = p.share(doubles{1, 2});
  const auto m = p.share(texts{"a"});
  EXPECT_THROW(static_cast<void>(t->size()), std::logic_error);
  EXPECT_THROW(static_cast<void>(m.get()), std::logic_error);
  p.apply([t] { return t->size(); });
  EXPECT_THROW(static_cast<void>(*t), std::logic_error);
}

TEST_P(share, the_pool_must_be_open) {
  std::optional<pool> p(std::in_place, with());
  const auto t = p->share(1);
  p->close();
  EXPECT_THROW(static_cast<void>(p->share(2)), pool_closed);
  EXPECT_THROW(p->map(procpool::bind(sum, 1), ints{1}), pool_closed);
  p->unshare(t);
  p.reset();
  pool q(with());
  q.terminate();
  EXPECT_THROW(static_cast<void>(q.share(2)), pool_closed);
}

TEST_P(share, workers_that_replace_others_find_it) {
  auto o = with(2);
  o.max_tasks_per_child = 2;
  pool p(o);
  const auto t = p.share(doubles{1, 2, 4});
  const auto m = p.share(texts{"a", "bc"});
  const auto sizes = p.map([t, m](int) { return t->size() + (*m)[1].size(); }, first(30));
  EXPECT_EQ(sizes, std::vector<std::size_t>(30, 5));
}

TEST_P(share_far, a_killed_worker_takes_nothing_with_it) {
  pool p(with(2));
  const auto t = p.share(doubles{1, 2, 4});
  const auto m = p.share(texts{"a", "bc"});
  for (int round = 0; round < 5; ++round) {
    EXPECT_THROW(p.apply([t, m] {
      static_cast<void>(m->size() + t->size());
      std::raise(SIGKILL);
    }),
                 worker_died);
    EXPECT_EQ(p.apply([t, m] { return t->size() + m->size(); }), 5u);
  }
  p.unshare(t);
  EXPECT_EQ(p.apply([m] { return m->size(); }), 2u);
}

TEST_P(share_far, nobody_can_write_to_it) {
  pool p(with(1));
  const auto t = p.share(doubles{1, 2});
  EXPECT_THROW(p.apply([t] { const_cast<double&>((*t)[0]) = 9; }), worker_died);
  EXPECT_EQ(p.apply([t] { return (*t)[0]; }), 1);
}

/// Throws when it is read, as long as mark 0 is not set.
struct moody {
  marks where{};
  template <class Archive>
  void save(Archive& archive) const {
    archive(where.path);
  }
  template <class Archive>
  void load(Archive& archive) {
    archive(where.path);
    if (where.at(0) == 0) throw std::runtime_error("not now");
  }
};

TEST_P(share, what_cannot_be_read_can_be_tried_again) {
  board b;
  pool p(with(1));
  const auto h = p.share(moody{b.here()});
  EXPECT_THROW(p.apply([h] { static_cast<void>(h.get()); }), serialization_error);
  b->set(0);
  p.apply([h] { static_cast<void>(h.get()); });
}

struct unwritable {
  int k = 0;
  template <class Archive>
  void save(Archive&) const {
    throw std::length_error("too much");
  }
  template <class Archive>
  void load(Archive&) {}
};

TEST_P(share, what_cannot_be_written_is_refused_in_the_call) {
  pool p(with());
  EXPECT_THROW(static_cast<void>(p.share(unwritable())), std::length_error);
  EXPECT_THROW(static_cast<void>(p.share(static_cast<const char*>(nullptr))),
               std::invalid_argument);
  EXPECT_THROW(
      p.map(procpool::bind([](const unwritable&, int x) { return x; }, unwritable()), ints{1}),
      std::length_error);
  EXPECT_EQ(p.apply(square, 3), 9);
}

TEST_P(share, a_pool_in_a_task_shares_by_itself) {
  pool p(with(1));
  const auto outer = p.share(ints{1, 2});
  const auto method = GetParam();
  EXPECT_EQ(p.apply([outer, method] {
    pool q({.processes = 1, .start_method = method});
    const auto inner = q.share(ints{3});
    const int sum = q.apply([inner] { return (*inner)[0]; }) + (*outer)[1];
    bool told = false;
    try {
      q.apply([outer] { return (*outer)[0]; });
    } catch (const error&) {
      told = true;
    }
    return told ? sum : -1;
  }),
            5);
}

// ---- what it costs ------------------------------------------------------------------------------

TEST_P(share_far, workers_have_no_copy_of_a_large_table) {
  constexpr std::size_t items = std::size_t{8} << 20;  // 64 MiB
  pool p(with(2));
  doubles table(items);
  std::iota(table.begin(), table.end(), 0.0);
  const double sum = std::accumulate(table.begin(), table.end(), 0.0);
  const auto grown_by = [](auto&& read) {
    const long before = private_memory();
    const double got = read();
    return std::pair(got, private_memory() - before);
  };
  const auto total = [](std::span<const double> v) {
    return std::accumulate(v.begin(), v.end(), 0.0);
  };
#if defined(__SANITIZE_ADDRESS__)
  // It keeps notes, an eighth as long as the table, and looks at them: which takes memory where the
  // kernel has no page of zeros for all who only read, as some virtual machines'.
  constexpr long few = 12 << 10;  // kB
#else
  constexpr long few = 4 << 10;
#endif
  const auto shared = p.share(table);
  for (const auto& [got, growth] : p.map(
           {.chunksize = 1}, [=](int) { return grown_by([&] { return total(*shared); }); },
           first(6))) {
    EXPECT_EQ(got, sum);
    EXPECT_LT(growth, few);
  }
  for (const auto& [got, growth] :
       p.map({.chunksize = 1},
             procpool::bind(
                 [=](std::span<const double> t, int) { return grown_by([&] { return total(t); }); },
                 std::span(table)),
             first(6))) {
    EXPECT_EQ(got, sum);
    EXPECT_LT(growth, few);
  }
}

TEST_P(share, sharing_and_unsharing_keeps_nothing) {
  pool p(with(2));
  const auto round = [&p](int times) {
    for (int i = 0; i < times; ++i) {
      const auto v = p.share(ints(5000, i));
      const auto m = p.share(texts(20, "text"));
      if (i % 16 == 0) {
        EXPECT_EQ(p.apply([v, m] { return v->size() + m->size(); }), 5020u);
      }
      p.unshare(v);
      p.unshare(m);
    }
  };
  round(500);
  const long before = memory();
  round(10'000);
  EXPECT_LT(memory() - before, 4 << 10);
}

TEST_P(share_far, a_task_that_never_ends_keeps_nothing_that_came_later) {
  board b;
  pool p(with(2));
  auto forever = p.apply_async([at = b.here()] { at.await(0); });
  const auto round = [&p](int times) {
    for (int i = 0; i < times; ++i) {
      const auto v = p.share(ints(50'000, i));
      EXPECT_EQ(p.apply([v] { return v->size(); }), 50'000u);
      p.unshare(v);
      p.map(procpool::bind([](std::span<const int> s, int x) { return s[0] + x; }, ints(50'000, i)),
            ints{1});
    }
  };
  round(20);
  const long before = memory();
  round(200);
  EXPECT_LT(memory() - before, 8 << 10);
  b->set(0);
  forever.get();
}

/// Counts those that live in this process, where everybody sees it.
struct living {
  marks where{};
  living() = default;
  explicit living(marks m) : where(m) {}
  living(const living&) = delete;
  living(living&& other) noexcept : where(std::exchange(other.where, {})), read(other.read) {
    other.read = false;
  }
  living& operator=(living&&) = delete;
  ~living() {
    if (read) where[1]--;
  }
  bool read = false;
  template <class Archive>
  void save(Archive& archive) const {
    archive(where.path);
  }
  template <class Archive>
  void load(Archive& archive) {
    archive(where.path);
    read = true;
    where[1]++;
  }
};

TEST_P(share, a_worker_drops_what_it_read_before_its_next_task) {
  board b;
  pool p(with(1));
  const auto h = p.share(living(b.here()));
  p.apply([h] { static_cast<void>(h.get()); });
  p.apply([h] { static_cast<void>(h.get()); });
  EXPECT_EQ(b->at(1), 1);
  p.unshare(h);
  EXPECT_EQ(p.apply([at = b.here()] { return at.at(1); }), 0);
  for (int i = 0; i < 3; ++i)
    p.map(procpool::bind([](const living&, int x) { return x; }, living(b.here())), ints{1, 2});
  EXPECT_EQ(p.apply([at = b.here()] { return at.at(1); }), 0);
}

}  // namespace
}  // namespace procpool::testing
