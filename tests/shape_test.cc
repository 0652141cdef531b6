// SPDX-License-Identifier: MIT
// Calls as types: which callables can be shipped, what their arguments become, what comes back; and
// callables there and back.
#include "procpool/detail/shape.h"

#include <gtest/gtest.h>

#include <array>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "vector_writer.h"

namespace {

int twice(int x) { return 2 * x; }
int twice_quietly(int x) noexcept { return 2 * x; }
double sum(std::span<const double> v) {
  double s = 0;
  for (double x : v) s += x;
  return s;
}
std::size_t length(std::string_view s) { return s.size(); }

struct shape {
  double side = 0;
  double area() const { return side * side; }
  double scaled(double by) const noexcept { return side * by; }
  std::size_t count(const std::string_view& s) { return s.size(); }
};
struct animal {
  virtual ~animal() = default;
  virtual int legs() const { return 4; }
};
struct bird : animal {
  int legs() const override { return 2; }
};

struct greeter {
  std::string greeting;
  std::vector<std::string> titles;
  std::string operator()(std::string_view name) const { return greeting + std::string(name); }
};
struct cereal_greeter {
  std::string operator()(int) const { return text; }
  template <class Archive>
  void serialize(Archive& archive) {
    archive(text);
  }
  std::string text;
};
struct holds_pointer {
  std::string s;
  int* p;
  int operator()(int) const { return 0; }
};
struct counter {
  int n = 0;
  int operator()(int x) { return n += x; }
};
struct overloaded {
  int operator()(int) const { return 1; }
  int operator()(std::string_view) const { return 2; }
};
enum class sign : int { minus = -1, plus = 1 };

}  // namespace

namespace procpool {
namespace {

using namespace detail;
using test::vector_writer;

// ---- what can be shipped ------------------------------------------------------------------------

template <class... F>
constexpr bool all_shippable(const F&...) {
  return (shippable<F> && ...);
}
template <class... F>
constexpr bool none_shippable(const F&...) {
  return (!shippable<F> && ...);
}

TEST(Shippable, PlainCaptures) {
  int i = 1;
  double d = 2;
  bool b = true;
  sign s = sign::plus;
  std::array<int, 3> a{};
  int c[2] = {};
  shape o;
  auto inner = [i] { return i; };
  EXPECT_TRUE(all_shippable([] {}, [i] { return i; }, [i, d, b, s] { return i + d + b + int(s); },
                            [a] { return a[0]; }, [c] { return c[0]; }, [o] { return o.side; },
                            [inner] { return inner(); }, [i]() mutable { return ++i; },
                            [](const auto& x) { return x; }));
  EXPECT_TRUE(all_shippable(twice, &twice_quietly, &shape::area, &shape::side, &animal::legs,
                            std::plus<>(), greeter{}, cereal_greeter{}, counter{}, overloaded{}));
}

TEST(Shippable, NotReferencesPointersAndWhatCannotBeTakenApart) {
  int i = 1;
  int* p = &i;
  const char* text = "";
  std::string s;
  std::string_view view;
  std::span<int> span;
  std::vector<int> v;
  auto shared = std::make_shared<int>(1);
  std::function<int(int)> f = twice;
  std::optional<int> maybe;
  int (*function)(int) = twice;
  auto by_reference = [&i] { return i; };
  EXPECT_TRUE(none_shippable([&i] { return i; }, [&] { return i; }, [p] { return *p; },
                             [text] { return *text; }, [view] { return view.size(); },
                             [span] { return span.size(); }, [function] { return function(1); },
                             [by_reference] { return by_reference(); },
                             [r = std::ref(i)] { return r.get(); }));
  EXPECT_TRUE(none_shippable([s] { return s.size(); }, [v] { return v.size(); }, [&s] { return s; },
                             [shared] { return *shared; }, f, [maybe] { return *maybe; },
                             holds_pointer{}, std::bind(twice, 1), std::mem_fn(&shape::area), 5));
  struct self {
    int k = 1;
    auto by_this() {
      return [this] { return k; };
    }
    auto by_value() {
      return [*this] { return k; };
    }
  };
  static_assert(!shippable<decltype(self().by_this())> && shippable<decltype(self().by_value())>);
}

// ---- arguments and results ----------------------------------------------------------------------

template <class F, class Tuple, class... A>
constexpr bool becomes = std::same_as<argument_types<F, A...>, Tuple>;
using generic = decltype([](const auto& x) { return x; });
using view_taker = decltype([](std::span<const int>, const std::string_view&) {});

static_assert(becomes<generic, std::tuple<std::string>, const char (&)[3]>);
static_assert(becomes<generic, std::tuple<std::string>, std::string_view&>);
static_assert(becomes<generic, std::tuple<std::string>, char*>);
static_assert(becomes<generic, std::tuple<std::span<const int>>, std::span<int>>);
static_assert(becomes<generic, std::tuple<std::span<const int>>, std::span<const int, 3>&>);
static_assert(becomes<generic, std::tuple<std::vector<int>>, const std::vector<int>&>);
static_assert(becomes<generic, std::tuple<bool>, std::vector<bool>::reference>);
static_assert(becomes<generic, std::tuple<int, double>, int&, double&&>);

static_assert(becomes<decltype(sum), std::tuple<std::span<const double>>, std::vector<double>&>);
static_assert(becomes<decltype(&sum), std::tuple<std::span<const double>>, std::array<double, 3>>);
static_assert(becomes<decltype(sum), std::tuple<std::span<const double>>, double (&)[3]>);
static_assert(becomes<decltype(sum), std::tuple<std::vector<int>>, std::vector<int>>);
static_assert(becomes<decltype(sum), std::tuple<std::list<double>>, std::list<double>>);
static_assert(becomes<decltype(length), std::tuple<std::string_view>, std::string&>);
static_assert(becomes<decltype(length), std::tuple<std::string_view>, const char (&)[5]>);
static_assert(becomes<decltype(length), std::tuple<std::string_view>, const std::string_view&>);
static_assert(becomes<view_taker, std::tuple<std::span<const int>, std::string_view>,
                      std::vector<int>&, std::string>);
static_assert(
    becomes<decltype(&shape::count), std::tuple<shape, std::string_view>, shape&, std::string>);
static_assert(becomes<greeter, std::tuple<std::string_view>, std::string>);
static_assert(becomes<overloaded, std::tuple<std::string>, std::string>);

static_assert(std::same_as<apply_result<decltype(twice), int&>, int>);
static_assert(std::same_as<apply_result<decltype(&shape::area), shape&>, double>);
static_assert(std::same_as<apply_result<decltype(&shape::scaled), const shape&, int>, double>);
static_assert(std::same_as<apply_result<decltype(&shape::side), shape>, double>);
static_assert(std::same_as<apply_result<decltype([] {})>, void>);
static_assert(std::same_as<apply_result<decltype([](int) -> const std::string& {
                                          static std::string s;
                                          return s;
                                        }),
                                        int>,
                           std::string>);
static_assert(std::same_as<apply_result<counter, int>, int>);
static_assert(std::same_as<callee<counter, int>, counter&>);
static_assert(std::same_as<callee<greeter, std::string_view>, const greeter&>);
static_assert(std::same_as<map_result<decltype(twice), std::vector<int>&>, int>);
static_assert(std::same_as<map_result<std::plus<>, std::vector<int>&, std::list<double>>, double>);
static_assert(std::same_as<starmap_result<std::plus<>, std::map<int, double>&>, double>);
static_assert(std::same_as<starmap_result<decltype(length), std::vector<std::tuple<std::string>>&>,
                           std::size_t>);
static_assert(std::same_as<starmap_result<std::plus<>, std::vector<std::array<int, 2>>>, int>);

// What is refused is refused softly.
template <class F, class... A>
constexpr bool refused = std::same_as<apply_result<F, A...>, uncallable> && !check_call<F, A...>();
static_assert(refused<decltype([](int*) {}), int*>);
static_assert(refused<decltype([](const shape&) {}), holds_pointer&>);
static_assert(refused<decltype([](std::vector<int>&) {}), std::vector<int>&>);
static_assert(refused<decltype([](std::string s) { return s; }), int>);
static_assert(refused<decltype([](int) -> int* { return nullptr; }), int>);
static_assert(refused<decltype([](int) -> std::string_view { return ""; }), int>);
static_assert(refused<decltype([](int) -> const char* { return ""; }), int>);
static_assert(refused<decltype([](int) { return std::make_shared<int>(1); }), int>);
static_assert(refused<decltype(&animal::legs), animal&>);
static_assert(refused<std::function<int(int)>, int>);
static_assert(std::same_as<map_result<decltype(twice), int>, uncallable>);
static_assert(std::same_as<starmap_result<std::plus<>, std::vector<int>>, uncallable>);

// ---- there and back -----------------------------------------------------------------------------

template <class F>
F shipped(const F& f, std::size_t* size = nullptr) {
  vector_writer out;
  encode_callable(out, f);
  std::vector<std::byte> bytes = out.bytes();
  if (size != nullptr) *size = bytes.size();
  reader in(bytes.data(), bytes.size());
  F back = decode_callable<F>(in);
  EXPECT_EQ(in.left(), 0u);
  return back;
}

TEST(Callables, FunctionsAndMembers) {
  EXPECT_EQ(shipped(&twice)(4), 8);
  EXPECT_EQ(shipped(&twice_quietly)(4), 8);
  shape s{3};
  EXPECT_EQ((s.*shipped(&shape::area))(), 9);
  EXPECT_EQ((s.*shipped(&shape::scaled))(2), 6);
  EXPECT_EQ(s.*shipped(&shape::side), 3);
  bird b;
  const animal& a = b;
  EXPECT_EQ((a.*shipped(&animal::legs))(), 2);
}

TEST(Callables, Objects) {
  std::size_t size = 99;
  EXPECT_EQ(shipped([](int x) { return x + 1; }, &size)(1), 2);
  EXPECT_EQ(size, 0u);
  int k = 5;
  EXPECT_EQ(shipped([k](int x) { return x + k; })(1), 6);
  EXPECT_EQ(shipped(greeter{"dear ", {"a", "b"}})("x"), "dear x");
  EXPECT_EQ(shipped(cereal_greeter{"hello"})(1), "hello");
}

TEST(Callables, NullOnesAreTheCallersMistake) {
  vector_writer out;
  EXPECT_THROW(encode_callable(out, static_cast<int (*)(int)>(nullptr)), std::invalid_argument);
  EXPECT_THROW(encode_callable(out, static_cast<double (shape::*)() const>(nullptr)),
               std::invalid_argument);
  EXPECT_THROW(encode_callable(out, static_cast<double shape::*>(nullptr)), std::invalid_argument);
}

TEST(Callables, DamagedOnesAreRefused) {
  vector_writer out;
  encode_callable(out, &animal::legs);
  std::vector<std::byte> bytes = out.bytes();
  bytes[0] = std::byte{9};
  reader in(bytes.data(), bytes.size());
  EXPECT_THROW(decode_callable<decltype(&animal::legs)>(in), serialization_error);
}

template <class To, class From>
To sent(const From& from) {
  static vector_writer out;  // a view lies in it
  out.align(16);
  std::size_t at = out.size();
  encode_argument<To>(out, from);
  reader in(out.data() + at, out.size() - at);
  To value = decode<To>(in);
  EXPECT_EQ(in.left(), 0u);
  return value;
}

TEST(Arguments, ChangeTypeOnTheWay) {
  EXPECT_EQ((sent<std::string>("literal")), "literal");
  EXPECT_EQ((sent<std::string>(std::string_view("view"))), "view");
  EXPECT_EQ(length(sent<std::string_view>("literal")), 7u);
  EXPECT_EQ((sent<std::string_view>(std::string("string"))), "string");
  char buffer[8] = "buf";
  EXPECT_EQ((sent<std::string>(buffer)), "buf");
  EXPECT_EQ((sent<std::string_view>(buffer)), "buf");
  const char* null = nullptr;
  EXPECT_THROW((sent<std::string>(null)), std::invalid_argument);

  std::vector<double> v{1, 2, 3};
  EXPECT_EQ(sum(sent<std::span<const double>>(v)), 6);
  EXPECT_EQ(sum(sent<std::span<const double>>(std::span<double>(v))), 6);
  EXPECT_EQ(sum(sent<std::span<const double>>(std::array<double, 2>{4, 5})), 9);
  double raw[2] = {6, 7};
  EXPECT_EQ(sum(sent<std::span<const double>>(raw)), 13);
  std::vector<bool> flags{true};
  EXPECT_EQ((sent<bool>(std::vector<bool>::reference(flags[0]))), true);
}

}  // namespace
}  // namespace procpool
