// SPDX-License-Identifier: MIT
// Callables of every kind: bind's state, by_bytes, overload sets, pointers to functions and members
// as values. shared values stand in contract_share_test.cc, snapshot_map in snapshot_map_test.cc.
#include <cstdlib>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "support/methods.h"
#include "support/tasks.h"

namespace procpool::testing {
namespace {

using doubles = std::vector<double>;
using texts = std::vector<std::string>;
using names_of = std::map<int, std::string>;

class callables : public pool_test {};
class callables_far : public pool_test {};
PROCPOOL_EVERY_METHOD(callables);
PROCPOOL_PROCESS_METHODS(callables_far);

const names_of names{{0, "zero"}, {1, "one"}, {2, "two"}};
std::string named(const names_of& all, int i) { return all.at(i); }

// ---- bind ---------------------------------------------------------------------------------------

TEST_P(callables, bind_works_with_every_function_of_the_pool) {
  pool p(with());
  const auto f = procpool::bind(named, names);
  const ints xs{2, 0, 1};
  const texts expected{"two", "zero", "one"};
  EXPECT_EQ(p.apply(f, 1), "one");
  EXPECT_EQ(p.apply_async(f, 1).get(), "one");
  EXPECT_EQ(p.map(f, xs), expected);
  EXPECT_EQ(p.map({.chunksize = 1}, f, xs), expected);
  EXPECT_EQ(p.map_async(f, xs).get(), expected);
  auto in_order = p.imap(f, xs);
  EXPECT_EQ(rest_of(in_order), expected);
  auto as_they_come = p.imap_unordered(f, xs);
  EXPECT_EQ(sorted(rest_of(as_they_come)), sorted(expected));
  EXPECT_EQ(p.starmap(procpool::bind([](int s, int a, int b) { return s + a * b; }, 100),
                      std::vector<std::pair<int, int>>{{2, 3}, {4, 5}}),
            (ints{106, 120}));
  EXPECT_EQ(p.starmap_async(procpool::bind(sum, 1), std::vector<std::tuple<int>>{{2}}).get(),
            (ints{3}));
  const auto tried = p.try_map(f, ints{1, 7});
  EXPECT_EQ(*tried[0], "one");
  EXPECT_THROW(tried[1].value(), std::out_of_range);
}

TEST_P(callables, bind_gives_spans_and_text_as_views) {
  pool p(with());
  const doubles table{1, 2, 4};
  const auto f = [](std::span<const double> t, std::string_view s, int i) {
    return std::string(s) + std::to_string(static_cast<int>(t[static_cast<std::size_t>(i)]));
  };
  const texts expected{"x1", "x2", "x4"};
  EXPECT_EQ(p.map(procpool::bind(f, table, std::string("x")), first(3)), expected);
  EXPECT_EQ(p.map(procpool::bind(f, std::span(table), "x"), first(3)), expected);
  EXPECT_EQ(p.apply(procpool::bind(f, table, std::string_view("x")), 2), "x4");
}

TEST_P(callables, bind_takes_arguments_as_views_behind_its_state) {
  pool p(with());
  EXPECT_EQ(p.map(procpool::bind(
                      [](const std::string& s, std::string_view t, std::span<const int> v) {
                        return s + std::string(t) + std::to_string(v.size());
                      },
                      "a"),
                  texts{"b", "c"}, std::vector<ints>{{1}, {1, 2}}),
            (texts{"ab1", "ac2"}));
}

struct scale {
  double by = 1;
  double times(double x) const { return by * x; }
  virtual double plus(double x) const { return by + x; }
  scale() = default;
  explicit scale(double b) : by(b) {}
  virtual ~scale() = default;
  template <class Archive>
  void serialize(Archive& archive) {
    archive(by);
  }
};

TEST_P(callables, bind_takes_any_callable_and_more_state_later) {
  pool p(with());
  EXPECT_EQ(p.map(procpool::bind(&scale::times, scale(3)), doubles{1, 2}), (doubles{3, 6}));
  EXPECT_EQ(p.map(procpool::bind(&scale::plus, scale(3)), doubles{1, 2}), (doubles{4, 5}));
  EXPECT_EQ(p.map(procpool::bind(PROCPOOL_LIFT(sum), 5), ints{1, 2}), (ints{6, 7}));
  int k = 10;
  const auto three = [k](int a, const std::string& b, int c) {
    return b + std::to_string(k + a + c);
  };
  const auto one = procpool::bind(three, 1);
  EXPECT_EQ(p.map(procpool::bind(one, "s"), ints{1}), texts{"s12"});
  EXPECT_EQ(p.map(procpool::bind(procpool::bind(three, 1, "s")), ints{2}), texts{"s13"});
}

TEST_P(callables, bind_takes_state_that_only_moves) {
  pool p(with());
  EXPECT_EQ(p.map(procpool::bind([](const std::unique_ptr<int>& k, int x) { return *k + x; },
                                 std::make_unique<int>(5)),
                  ints{1, 2}),
            (ints{6, 7}));
}

// What f keeps in itself is a matter of one task, as without bind.
TEST_P(callables, bind_takes_a_callable_that_changes) {
  pool p(with(1));
  int n = 0;
  EXPECT_EQ(
      p.map({.chunksize = 2}, procpool::bind([n](int s, int x) mutable { return s + x + n++; }, 10),
            ints{0, 0, 0}),
      (ints{10, 11, 10}));
}

TEST_P(callables, bind_copies_its_state_when_it_is_made) {
  pool p(with());
  std::vector<int> xs{1};
  const auto f = procpool::bind([](const ints& s, int) { return s[0]; }, xs);
  xs[0] = 2;
  auto stream = p.imap(f, ints{0});
  EXPECT_EQ(stream.next(), 1);
}

/// Counts where it was decoded.
struct counted {
  marks where{};
  template <class Archive>
  void save(Archive& archive) const {
    archive(where.path);
  }
  template <class Archive>
  void load(Archive& archive) {
    archive(where.path);
    where.add(0);
  }
};

TEST_P(callables, bind_decodes_its_state_once_a_worker_and_call) {
  board b;
  const int workers = GetParam() == start_method::in_process ? 1 : 2;
  pool p(with(workers));
  const auto f = procpool::bind([](const counted&, int x) { return x; }, counted{b.here()});
  for (int call = 1; call <= 3; ++call) {
    p.map({.chunksize = 1}, f, first(40));
    EXPECT_GE(b->at(0), call);
    EXPECT_LE(b->at(0), call * workers);
  }
  auto stream = p.imap({.chunksize = 1}, f, first(40));
  rest_of(stream);
  EXPECT_LE(b->at(0), 4 * workers);
}

TEST_P(callables, bind_is_a_task_too) {
  board b;
  auto o = with(2);
  o.initializer = procpool::task(procpool::bind(
                                     [](marks m, const texts& t, std::span<const int> s, int x) {
                                       if (t == texts{"a", "b"} && s.size() == 2 && x == 7)
                                         m.add(0);
                                     },
                                     b.here(), texts{"a", "b"}, ints{1, 2}),
                                 7);
  pool p(o);
  p.map([](int x) { return x; }, first(10));
  EXPECT_GE(b->at(0), 1);
}

struct bad {
  template <class Archive>
  void save(Archive& archive) const {
    archive(1);
  }
  template <class Archive>
  void load(Archive&) {
    throw std::runtime_error("not today");
  }
};

TEST_P(callables, bind_fails_the_items_whose_state_cannot_be_decoded) {
  pool p(with());
  const auto tried =
      p.try_map(procpool::bind([](const bad&, int x) { return x; }, bad()), first(3));
  for (const auto& one : tried) EXPECT_THROW(one.value(), serialization_error);
  EXPECT_EQ(p.apply(square, 3), 9);
}

// ---- by_bytes, LIFT -----------------------------------------------------------------------------

TEST_P(callables, by_bytes_takes_unions_at_their_word) {
  pool p(with());
  const std::optional<int> k = 4;
  static_assert(!shippable<decltype([k](int x) { return x + *k; })>);
  EXPECT_EQ(p.map(procpool::by_bytes([k](int x) { return x + *k; }), ints{1, 2}), (ints{5, 6}));
  EXPECT_EQ(p.map(procpool::bind(procpool::by_bytes([k](int s, int x) { return s + x + *k; }), 10),
                  ints{1}),
            ints{15});
  EXPECT_EQ(p.apply(procpool::by_bytes([k](std::span<const int> v) { return v.size() + *k; }),
                    ints{1, 2}),
            6u);
}

int twice(int x) { return 2 * x; }
double twice(double x) { return 2 * x; }
template <class T, int N>
T times(T x) {
  return x * N;
}

TEST_P(callables, lift_passes_overload_sets_and_templates) {
  pool p(with());
  EXPECT_EQ(p.map(PROCPOOL_LIFT(twice), ints{1, 2}), (ints{2, 4}));
  EXPECT_EQ(p.map(PROCPOOL_LIFT(twice), doubles{1.5}), (doubles{3}));
  EXPECT_EQ(p.map(PROCPOOL_LIFT(times<int, 3>), ints{1, 2}), (ints{3, 6}));
  EXPECT_EQ(p.apply(PROCPOOL_LIFT(std::abs), -3), 3);
  EXPECT_EQ(p.apply(PROCPOOL_LIFT(std::get<1>), std::tuple(1, std::string("b"))), "b");
  constexpr auto lifted = PROCPOOL_LIFT(twice);
  static_assert(std::is_invocable_v<decltype(lifted), int>);
  static_assert(!std::is_invocable_v<decltype(lifted), std::string>);
}

// ---- pointers to code, as values ----------------------------------------------------------------

struct step {
  std::string name;
  int (*function)(int) = nullptr;
  double (scale::*member)(double) const = nullptr;
  double scale::*data = nullptr;
};

TEST_P(callables, pointers_to_code_are_values) {
  pool p(with());
  EXPECT_EQ(p.apply([](int (*f)(int), int x) { return f(x); }, square, 3), 9);
  EXPECT_EQ(p.apply(
                [](const step& s, const scale& of) {
                  return s.name + std::to_string(s.function(4)) +
                         ((of.*s.member)(2) == 6 ? "y" : "n") + (of.*s.data == 3 ? "y" : "n");
                },
                step{"s", square, &scale::times, &scale::by}, scale(3)),
            "s16yy");
  EXPECT_EQ(p.apply([](auto f, const scale& of) { return (of.*f)(2); }, &scale::plus, scale(3)), 5);
  const std::vector<int (*)(int)> all{square, nullptr, twice};
  EXPECT_EQ(p.map([](int (*f)(int)) { return f == nullptr ? -1 : f(5); }, all), (ints{25, -1, 10}));
  EXPECT_EQ(p.apply([](const std::map<std::string, int (*)(int)>& m) { return m.at("sq")(6); },
                    std::map<std::string, int (*)(int)>{{"sq", square}}),
            36);
}

TEST_P(callables, pointers_to_code_are_results) {
  pool p(with());
  using function = int (*)(int);
  EXPECT_EQ(p.apply([]() -> function { return square; }), &square);
  EXPECT_EQ(p.apply([]() -> function { return nullptr; }), nullptr);
  EXPECT_TRUE(p.apply([] { return &scale::plus; }) == &scale::plus);
  EXPECT_TRUE(p.apply([] { return &scale::by; }) == &scale::by);
  const step s = p.apply([] { return step{"s", square, nullptr, &scale::by}; });
  EXPECT_EQ(s.function(7), 49);
  EXPECT_TRUE(s.member == nullptr);
  EXPECT_EQ(p.map([](int x) -> function { return x == 0 ? nullptr : square; }, ints{0, 1}),
            (std::vector<function>{nullptr, square}));
}

TEST_P(callables, pointers_to_code_are_state) {
  pool p(with());
  EXPECT_EQ(p.map(procpool::bind([](int (*f)(int), int x) { return f(x) + 1; },
                                 static_cast<int (*)(int)>(twice)),
                  ints{1, 2}),
            (ints{3, 5}));
}

// ---- what can be shipped ------------------------------------------------------------------------

static_assert(shippable<decltype(procpool::bind(named, names))>);
static_assert(shippable<decltype(procpool::bind(named, std::span<const int>()))>);
static_assert(!shippable<decltype(procpool::bind(named, std::shared_ptr<int>()))>);
static_assert(!shippable<decltype(procpool::bind([p = std::string()](int) { return p; }, 1))>);
static_assert(shippable<decltype(procpool::by_bytes([p = &names](int) { return p; }))>);
static_assert(shippable<int (*)(int) noexcept>);
static_assert(sendable<int (*)(int)> && sendable<double scale::*> && sendable<step>);
static_assert(!sendable<std::function<int(int)>> && !sendable<int*> && !sendable<void*>);

// ---- deaths -------------------------------------------------------------------------------------

TEST_P(callables_far, bind_reaches_workers_that_replace_others) {
  board b;
  auto o = with(2);
  o.max_tasks_per_child = 3;
  pool p(o);
  const names_of all = names;
  const auto xs = first(60);
  const auto got =
      p.map({.chunksize = 4},
            procpool::bind([](const names_of& n, int x) { return n.at(x % 3); }, all), xs);
  for (int x : xs) EXPECT_EQ(got[static_cast<std::size_t>(x)], all.at(x % 3));
}

TEST_P(callables_far, bind_goes_on_when_a_worker_is_killed) {
  pool p(with(2));
  const auto tried = p.try_map({.chunksize = 5},
                               procpool::bind(
                                   [](const names_of& n, int x) {
                                     if (x == 12) std::abort();
                                     return n.at(x % 3);
                                   },
                                   names),
                               first(40));
  for (std::size_t i = 0; i < tried.size(); ++i) {
    if (i == 12)
      EXPECT_THROW(tried[i].value(), worker_died);
    else
      EXPECT_EQ(tried[i].value(), names.at(static_cast<int>(i % 3)));
  }
}

}  // namespace
}  // namespace procpool::testing
