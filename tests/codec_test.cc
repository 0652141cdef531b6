// SPDX-License-Identifier: MIT
// Values to bytes and back: every kind of type, and every kind of wrong bytes. Long, for the types
// and the table of what may be sent are used throughout.
#include "procpool/codec.h"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <bitset>
#include <chrono>
#include <complex>
#include <deque>
#include <filesystem>
#include <forward_list>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <queue>
#include <random>
#include <set>
#include <span>
#include <stack>
#include <stdexcept>
#include <string>
#include <thread>
#include <tuple>
#include <unordered_map>
#include <unordered_set>
#include <variant>
#include <vector>

#include "vector_writer.h"

namespace sample {

enum class color : std::uint8_t { red, green };
enum class answer : bool { no, yes };

struct point {
  double x, y;
  auto operator<=>(const point&) const = default;
};
struct flagged {
  int a;
  bool b;
  auto operator<=>(const flagged&) const = default;
};
struct record {
  std::uint64_t id = 0;
  std::string name;
  std::vector<double> samples;
  std::optional<int> maybe;
  std::map<std::string, int> counts;
  point at{};
  int raw[3] = {};
  char text[40] = {};
  std::string names[2];
  bool on = false;
  bool operator==(const record&) const = default;
};
struct tree {
  int value = 0;
  std::vector<tree> kids;
  bool operator==(const tree&) const = default;
};
struct chain {
  int value = 0;
  std::unique_ptr<chain> next;
};
struct nothing {
  bool operator==(const nothing&) const = default;
};
struct overlaid {
  [[no_unique_address]] nothing first;
  std::string name;
  [[no_unique_address]] nothing second;
  bool operator==(const overlaid&) const = default;
};
struct bits {
  unsigned a : 3;
  unsigned b : 5;
};
struct wide {
  int f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18, f19, f20,
      f21, f22;
  std::string f23;
  bool operator==(const wide&) const = default;
};
struct too_wide {
  int f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18, f19, f20,
      f21, f22, f23;
  std::string f24;
};

// Plain, though it cannot be made from nothing.
class meters {
 public:
  constexpr explicit meters(double v) : value_(v) {}
  bool operator==(const meters&) const = default;

 private:
  double value_;
};
struct alignas(64) line {
  std::uint64_t words[8];
  bool operator==(const line&) const = default;
};

struct with_pointer {
  int a;
  const char* p;
};
struct pointer_array {
  int* a[2];
};
struct pointer_std_array {
  std::array<const char*, 2> a;
};
struct deep_pointer {
  std::vector<std::map<int, with_pointer>> v;
};
struct with_union {
  union {
    int i;
    float f;
  };
  std::string s;
};
struct base {
  std::string s;
};
struct derived : base {
  std::string t;
};
struct named_list : std::vector<int> {
  std::string name;
};
struct constant {
  const int id = 0;
  std::string s;
};
// A class that the compiler cannot look into: no constexpr constructor.
class sealed {
 public:
  sealed() {}

 private:
  int n_ = 0;
};
struct opaque {
  explicit opaque(int);
  std::string s;
};
struct by_pointer_order {
  std::set<int, bool (*)(int, int)> s;
};

// ---- users of cereal ----------------------------------------------------------------------------

struct member_serialize {
  int a = 0;
  std::vector<std::string> v;
  template <class Archive>
  void serialize(Archive& archive) {
    archive(CEREAL_NVP(a), v);
  }
  bool operator==(const member_serialize&) const = default;
};

class secret {
 public:
  secret() = default;
  explicit secret(std::string s) : text_(std::move(s)) {}
  bool operator==(const secret&) const = default;

 private:
  friend class cereal::access;
  template <class Archive>
  void save(Archive& archive) const {
    archive(text_);
  }
  template <class Archive>
  void load(Archive& archive) {
    archive(text_);
  }
  std::string text_;
};

struct beside {
  int a = 0;
  point p{};  // an aggregate inside a cereal type
  std::unique_ptr<tree> t;
};
template <class Archive>
void serialize(Archive& archive, beside& b) {
  archive& b.a& b.p;
  archive(cereal::make_nvp("t", b.t));
}

struct minimal {
  int a = 0;
  template <class Archive>
  std::string save_minimal(const Archive&) const {
    return std::to_string(a);
  }
  template <class Archive>
  void load_minimal(const Archive&, const std::string& text) {
    a = std::stoi(text);
  }
  bool operator==(const minimal&) const = default;
};

struct versioned {
  int a = 0;
  std::uint32_t version = 0;
  template <class Archive>
  void serialize(Archive& archive, const std::uint32_t v) {
    archive(a);
    version = v;
  }
};

struct writes_nothing {
  template <class Archive>
  void serialize(Archive&) {}
  std::string s;
};

// Trivially copyable, and yet its functions are called.
struct even {
  int n = 0;
  template <class Archive>
  void save(Archive& archive) const {
    if (n % 2 != 0) throw std::domain_error("odd when saved");
    archive(n);
  }
  template <class Archive>
  void load(Archive& archive) {
    archive(n);
    if (n == 666) throw std::domain_error("odd when loaded");
  }
  bool operator==(const even&) const = default;
};
struct holds_even {
  even e;
  int k = 0;
  bool operator==(const holds_even&) const = default;
};

struct cereal_base {
  int x = 0;
  template <class Archive>
  void serialize(Archive& archive) {
    archive(x);
  }
};
struct plain_base {
  constexpr plain_base() : i(0), c(0) {}
  int i;
  char c;
};
struct cereal_derived : cereal_base, plain_base {
  char tail = 0;
  template <class Archive>
  void serialize(Archive& archive) {
    archive(tail, cereal::base_class<cereal_base>(this), cereal::base_class<plain_base>(this));
  }
};
static_assert(sizeof(plain_base) == 8);

struct person {
  std::string name;
  template <class Archive>
  void serialize(Archive& archive) {
    archive(name);
  }
};
struct forgetful : person {
  int id = 0;
};
struct employee : person {
  int id = 0;
  template <class Archive>
  void serialize(Archive& archive) {
    archive(cereal::base_class<person>(this), id);
  }
  bool operator==(const employee& o) const { return name == o.name && id == o.id; }
};
struct json {
  std::variant<std::monostate, double, std::string, std::vector<json>, std::map<std::string, json>>
      value;
  bool operator==(const json&) const = default;
};

struct endless {
  std::vector<endless> kids;
  template <class Archive>
  void serialize(Archive& archive) {
    archive(kids);
  }
};

}  // namespace sample

CEREAL_CLASS_VERSION(sample::versioned, 7)

namespace sample {
struct vouched {
  const char* p;
  bool operator==(const vouched&) const = default;
};
}  // namespace sample
template <>
struct procpool::enable_bytes<sample::vouched> : std::true_type {};

namespace procpool {
namespace {

using namespace sample;
using detail::decode;
using detail::encode;
using detail::plain;
using detail::reader;
using test::vector_writer;

// ---- what can be sent ---------------------------------------------------------------------------

template <class... T>
constexpr bool all_plain = (plain<T> && ...);
template <class... T>
constexpr bool none_plain = (!plain<T> && ...);
template <class... T>
constexpr bool all_sendable = (sendable<T> && ...);
template <class... T>
constexpr bool none_sendable = (!sendable<T> && ...);

static_assert(
    all_plain<int, const int, bool, char8_t, long double, std::byte, color, answer, int[3], point,
              flagged, std::array<point, 3>, nothing, meters, line, bits, vouched>);
static_assert(all_plain<std::complex<double>, std::chrono::nanoseconds, std::bitset<70>,
                        std::chrono::system_clock::time_point, std::monostate, std::less<>>);
static_assert(none_plain<int*, int&, std::nullptr_t, decltype(&point::x), void (*)(), with_pointer,
                         pointer_array, pointer_std_array, std::string_view, std::span<int>,
                         std::reference_wrapper<int>, std::optional<int>, std::atomic<int>, even,
                         holds_even, std::array<int*, 2>, volatile int, std::string>);

static_assert(
    all_sendable<record, tree, chain, overlaid, wide, holds_even, member_serialize, secret, beside,
                 minimal, versioned, writes_nothing, endless, cereal_derived>);
static_assert(all_sendable<
              std::vector<bool>, std::vector<meters>, std::wstring, std::list<std::string>,
              std::deque<tree>, std::forward_list<int>, std::set<int>, std::multiset<std::string>,
              std::unordered_set<int>, std::unordered_multiset<int>, std::map<int, record>,
              std::multimap<int, int>, std::unordered_map<std::string, std::vector<tree>>,
              std::unordered_multimap<int, int>>);
static_assert(all_sendable<std::tuple<>, std::tuple<int, std::string>, std::pair<int, tree>,
                           std::optional<record>, std::variant<std::monostate, int, std::string>,
                           std::unique_ptr<tree>, std::array<std::string, 3>, std::queue<int>,
                           std::stack<std::string>, std::priority_queue<int>, std::filesystem::path,
                           std::vector<std::filesystem::path>>);
static_assert(
    none_sendable<int*, int&, void, int(), std::string_view, std::span<const int>,
                  std::vector<int*>, std::function<int()>, std::thread, std::mutex,
                  std::atomic<int>, std::shared_ptr<int>, std::unique_ptr<int[]>,
                  std::unique_ptr<int*>, std::unique_ptr<std::exception>, std::exception>);
static_assert(
    none_sendable<with_pointer, deep_pointer, with_union, derived, named_list, constant, opaque,
                  sealed, forgetful, std::vector<opaque>, std::optional<opaque>, too_wide,
                  by_pointer_order, std::map<int, opaque>, std::tuple<int, int*>,
                  std::array<std::string_view, 2>, std::variant<int, opaque>>);

// ---- there and back -----------------------------------------------------------------------------

template <class T>
std::vector<std::byte> encoded(const T& value) {
  vector_writer out;
  encode(out, value);
  return out.bytes();
}
template <class T>
T round(const T& value) {
  // Behind one byte, so that what is aligned is so by more than luck.
  vector_writer out;
  encode(out, 'x');
  encode(out, value);
  std::vector<std::byte> bytes = out.bytes();
  reader in(bytes.data(), bytes.size());
  EXPECT_EQ(decode<char>(in), 'x');
  T back = decode<T>(in);
  EXPECT_EQ(in.left(), 0u);
  return back;
}
template <class T>
void same(const T& value) {
  EXPECT_EQ(round(value), value);
}

record make_record() {
  return {.id = 7,
          .name = "n",
          .samples = {1, 2.5},
          .maybe = 4,
          .counts = {{"a", 1}, {"b", 2}},
          .at = {5, 6},
          .raw = {7, 8, 9},
          .text = "forty",
          .names = {"x", std::string(300, 'y')},
          .on = true};
}
tree make_tree() { return {1, {{2, {{3, {}}, {4, {}}}}, {5, {}}}}; }

TEST(Codec, ScalarsAndPlainTypes) {
  same(42);
  same(true);
  same(-0.5L);
  same(std::byte{9});
  same(color::green);
  same(answer::yes);
  same(point{1, 2});
  same(flagged{3, true});
  same(std::array<point, 2>{{{1, 2}, {3, 4}}});
  same(nothing{});
  same(meters(3));
  same(line{{1, 2, 3, 4, 5, 6, 7, 8}});
  same(std::complex<double>(1, -1));
  same(std::chrono::nanoseconds(5));
  same(std::chrono::system_clock::time_point(std::chrono::seconds(9)));
  same(std::bitset<70>("1011"));
  static const char* const here = "here";
  same(vouched{here});
  bits b = round(bits{5, 17});
  EXPECT_EQ(b.a, 5u);
  EXPECT_EQ(b.b, 17u);
}

TEST(Codec, Blocks) {
  same(std::string());
  same(std::string(254, 'a'));
  same(std::string(255, 'b'));
  same(std::string("with\0zero", 9));
  same(std::wstring(L"wide"));
  EXPECT_TRUE(round(std::u8string(u8"ü")) == u8"ü");
  same(std::vector<double>(1000, 0.25));
  same(std::vector<point>{{1, 2}, {3, 4}});
  same(std::vector<flagged>{{1, true}, {2, false}});
  same(std::vector<meters>{meters(1), meters(2)});
  same(std::vector<line>{line{{1, 2}}, line{{3}}});
  same(std::vector<std::chrono::seconds>{std::chrono::seconds(1)});
}

TEST(Codec, StandardTypes) {
  same(std::vector<bool>{true, false, true});
  same(std::vector<std::string>{"a", "", "c"});
  same(std::vector<std::vector<std::string>>{{"a"}, {}, {"b", "c"}});
  same(std::list<std::string>{"a", "b"});
  same(std::deque<int>{1, 2});
  same(std::forward_list<int>{1, 2, 3});
  same(std::set<std::string>{"q", "p"});
  same(std::unordered_set<std::string>{"q", "p"});
  same(std::unordered_multiset<int>{1, 1, 2});
  same(std::map<std::string, std::vector<int>>{{"a", {1}}, {"b", {}}});
  same(std::multimap<int, int>{{1, 2}, {1, 3}});
  same(std::unordered_map<int, tree>{{1, make_tree()}});
  same(std::unordered_multimap<int, std::string>{{1, "a"}, {1, "a"}});
  same(std::tuple<>());
  same(std::tuple{1, std::string("x"), 2.5, std::vector<bool>{true}});
  same(std::pair{std::string("k"), 2});
  same(std::vector<std::pair<int, int>>{{1, 2}, {3, 4}});
  same(std::vector<std::tuple<>>(5));
  same(std::array<std::string, 2>{"a", "b"});
  same(std::optional<std::string>("x"));
  same(std::optional<std::string>());
  same(std::optional<bool>(false));
  same(std::variant<int, std::string>("v"));
  same(std::variant<std::monostate, int>());
  same(std::stack<int>({1, 2}));
  same(std::queue<std::string>({"a", "b"}));
  same(std::filesystem::path("/a/b c"));
  same(std::vector<std::filesystem::path>{"a", "b/c"});
  EXPECT_EQ(*round(std::make_unique<int>(5)), 5);
  EXPECT_EQ(*round(std::make_unique<meters>(5)), meters(5));
  EXPECT_EQ(round(std::unique_ptr<std::string>()), nullptr);
  EXPECT_EQ(**round(std::optional(std::make_unique<std::string>("o"))), "o");

  std::priority_queue<int> queue;
  for (int i : {2, 9, 4}) queue.push(i);
  EXPECT_EQ(round(queue).top(), 9);
}

TEST(Codec, AggregatesFieldByField) {
  same(make_record());
  same(make_tree());
  json array{std::vector<json>{{1.5}, {"text"}, {}}};
  same(json{std::map<std::string, json>{{"k", array}, {"l", {}}}});
  same(std::vector<record>{make_record(), {}});
  same(overlaid{{}, "shares its address", {}});
  same(
      wide{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, "23"});

  chain first{1, std::make_unique<chain>(chain{2, nullptr})};
  chain back = round(first);
  EXPECT_EQ(back.value, 1);
  ASSERT_NE(back.next, nullptr);
  EXPECT_EQ(back.next->value, 2);
  EXPECT_EQ(back.next->next, nullptr);
}

TEST(Codec, UsersOfCereal) {
  same(member_serialize{1, {"a", "b"}});
  employee worker;
  worker.name = "n";
  worker.id = 7;
  same(worker);
  same(secret("hidden"));
  same(std::vector<secret>{secret("a"), secret("")});
  same(minimal{-17});
  same(std::map<int, minimal>{{1, {2}}});
  same(even{4});
  same(holds_even{{8}, 9});
  same(std::vector<even>{{2}, {4}});
  EXPECT_EQ(round(versioned{5, 0}).version, 7u);
  EXPECT_EQ(round(std::vector<versioned>(3, versioned{5, 0}))[2].version, 7u);

  beside b;
  b.a = 1;
  b.p = {2, 3};
  b.t = std::make_unique<tree>(make_tree());
  beside back = round(b);
  EXPECT_EQ(back.a, 1);
  EXPECT_EQ(back.p, (point{2, 3}));
  EXPECT_EQ(*back.t, make_tree());
}

TEST(Codec, BaseClassesOfCerealTypesKeepTheirNeighbours) {
  cereal_derived d;
  d.x = 1;
  d.i = 2;
  d.c = 'c';
  d.tail = 't';
  cereal_derived back = round(d);
  EXPECT_EQ(back.x, 1);
  EXPECT_EQ(back.i, 2);
  EXPECT_EQ(back.c, 'c');
  EXPECT_EQ(back.tail, 't');
}

TEST(Codec, AValueTakesAtLeastOneByte) {
  EXPECT_EQ(encoded(writes_nothing{}).size(), 1u);
  EXPECT_EQ(encoded(nothing{}).size(), 1u);
  EXPECT_EQ(encoded(std::array<std::string, 0>{}).size(), 1u);
  EXPECT_EQ(round(std::vector<writes_nothing>(1000)).size(), 1000u);
  EXPECT_EQ(round(std::list<std::array<std::string, 0>>(300)).size(), 300u);
}

// What lies at an empty object's address is somebody else's, or never was written.
TEST(Codec, AnEmptyObjectIsAZero) {
  for (const std::byte under : {std::byte{0x00}, std::byte{0x5a}}) {
    std::byte place{under};
    const auto* object = new (&place) nothing;
    EXPECT_EQ(encoded(*object), std::vector<std::byte>(1));
    EXPECT_EQ(encoded(std::span(object, 1)), (std::vector{std::byte{1}, std::byte{0}}));
  }
  EXPECT_EQ(encoded(overlaid{{}, "x", {}}), encoded(overlaid{{}, "x", {}}));
  struct alignas(64) marked {
    bool operator==(const marked&) const = default;
  };
  same(std::tuple{marked{}, 'x', std::vector<marked>(2), std::list<marked>(2)});
}

TEST(Codec, WhatUserFunctionsThrowPassesThrough) {
  vector_writer out;
  EXPECT_THROW(encode(out, even{1}), std::domain_error);
  EXPECT_THROW(encode(out, std::vector<holds_even>{{{1}, 2}}), std::domain_error);
  EXPECT_THROW((encode(out, std::map<int, even>{{1, {1}}})), std::domain_error);

  vector_writer bad;
  encode(bad, even{666});
  std::vector<std::byte> bytes = bad.bytes();
  reader in(bytes.data(), bytes.size());
  EXPECT_THROW(decode<even>(in), std::domain_error);
}

// ---- views --------------------------------------------------------------------------------------

TEST(CodecViews, SameBytesAsTheContainer) {
  const std::vector<double> v{1, 2, 3};
  EXPECT_EQ(encoded(std::span<const double>(v)), encoded(v));
  const std::string s = "text";
  EXPECT_EQ(encoded(std::string_view(s)), encoded(s));
}

TEST(CodecViews, LieInTheMessageAndAreAligned) {
  const std::vector<double> v{1, 2, 3};
  const std::vector<std::uint16_t> w{4, 5};
  vector_writer out;
  encode(out, 'x');
  encode(out, v);
  encode(out, std::string("ab"));
  encode(out, w);
  std::vector<std::byte> bytes = out.bytes();
  const std::byte* end = bytes.data() + bytes.size();

  reader in(bytes.data(), bytes.size());
  decode<char>(in);
  auto doubles = decode<std::span<const double>>(in);
  auto text = decode<std::string_view>(in);
  auto words = decode<std::span<const std::uint16_t>>(in);
  EXPECT_EQ(in.left(), 0u);

  EXPECT_EQ(std::vector<double>(doubles.begin(), doubles.end()), v);
  EXPECT_EQ(text, "ab");
  EXPECT_EQ(std::vector<std::uint16_t>(words.begin(), words.end()), w);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(doubles.data()) % alignof(double), 0u);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(words.data()) % alignof(std::uint16_t), 0u);
  for (const void* at :
       {static_cast<const void*>(doubles.data()), static_cast<const void*>(text.data()),
        static_cast<const void*>(words.data())}) {
    EXPECT_GE(at, static_cast<const void*>(bytes.data()));
    EXPECT_LT(at, static_cast<const void*>(end));
  }
}

TEST(CodecViews, OfWhatIsNotAlignedAreRefusedButContainersAreRead) {
  std::vector<std::byte> good = encoded(std::vector<double>{1, 2});
  std::vector<std::byte> moved(good.size() + 1);
  std::copy(good.begin(), good.end(), moved.begin() + 1);
  reader view(moved.data() + 1, good.size());
  EXPECT_THROW(decode<std::span<const double>>(view), serialization_error);
  reader copy(moved.data() + 1, good.size());
  EXPECT_EQ(decode<std::vector<double>>(copy), (std::vector<double>{1, 2}));
}

// ---- wrong bytes --------------------------------------------------------------------------------

template <class T>
void refuse(std::initializer_list<int> list) {
  std::vector<std::byte> bytes;
  for (int i : list) bytes.push_back(static_cast<std::byte>(i));
  reader in(bytes.data(), bytes.size());
  EXPECT_THROW(decode<T>(in), serialization_error);
}

TEST(CodecHostile, WhatIsNoValueIsRefused) {
  refuse<bool>({2});
  refuse<answer>({2});
  refuse<flagged>({0, 0, 0, 0, 9, 0, 0, 0});
  refuse<std::array<bool, 2>>({1, 3});
  refuse<std::vector<bool>>({2, 1, 7});
  refuse<std::optional<int>>({5, 0, 0, 0, 0});
  refuse<std::unique_ptr<int>>({2, 0, 0, 0, 0});
  refuse<std::variant<int, char>>({2, 0, 0, 0, 0, 0, 0, 0});
  refuse<std::variant<int, char>>({255, 255, 255, 255, 0, 0, 0, 0});
  refuse<std::bitset<3>>({8, 0, 0, 0, 0, 0, 0, 0});
  refuse<std::span<const flagged>>({1, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0});
}

TEST(CodecHostile, CountsAreHeldAgainstTheBytesLeft) {
  constexpr int all = 255;
  refuse<std::string>({9, 'a'});
  refuse<std::vector<double>>({all, all, all, all, all, all, all, all, all});
  refuse<std::vector<std::string>>({all, 0, 0, 0, 0, 0, 0, 1, 0});
  refuse<std::map<int, int>>({all, 0, 0, 0, 0, 0, 0, 1, 0});
  refuse<std::unordered_set<int>>({all, all, all, all, all, 0, 0, 0, 0});
  refuse<std::deque<double>>({all, 0, 0, 0, 0, 0, 0, 0, 128});
  refuse<std::list<std::tuple<>>>({all, 0, 0, 0, 0, 1, 0, 0, 0});
  refuse<std::forward_list<line>>({3, 0, 0, 0, 0});
  refuse<std::span<const int>>({2, 0, 0, 0, 0, 0, 0, 0});
}

/// Counts how many there are to be read.
struct counted {
  counted() { ++made; }
  template <class Archive>
  void serialize(Archive& archive) {
    archive(value);
  }
  char value = 0;
  static inline std::size_t made = 0;
};
template <class T>
void expect_no_more_than_the_bytes_can_hold() {
  constexpr std::size_t size = 200;
  std::vector<std::byte> bytes(1 + size);
  bytes[0] = static_cast<std::byte>(size);
  reader in(bytes.data(), bytes.size());
  counted::made = 0;
  EXPECT_THROW(decode<std::vector<T>>(in), serialization_error);
  EXPECT_LE(counted::made, size);
}

TEST(CodecHostile, NothingIsMadeThatTheBytesCannotHold) {
  expect_no_more_than_the_bytes_can_hold<std::array<counted, 100>>();
  expect_no_more_than_the_bytes_can_hold<std::array<std::array<counted, 10>, 10>>();
  expect_no_more_than_the_bytes_can_hold<std::pair<counted, counted>>();
  expect_no_more_than_the_bytes_can_hold<std::tuple<counted, int, counted, counted>>();
  expect_no_more_than_the_bytes_can_hold<std::pair<std::uint64_t, std::array<counted, 100>>>();
}

TEST(CodecHostile, DepthIsLimitedOnBothSides) {
  tree t;
  tree* at = &t;
  for (int i = 1; i < reader::deepest; ++i) at = &at->kids.emplace_back();
  same(t);
  at->kids.emplace_back();
  vector_writer out;
  EXPECT_THROW(encode(out, t), serialization_error);

  std::vector<std::byte> ones(100'000, std::byte{1});
  reader in(ones.data(), ones.size());
  EXPECT_THROW(decode<endless>(in), serialization_error);
  reader again(ones.data(), ones.size());
  EXPECT_THROW(decode<tree>(again), serialization_error);
}

/// A value or an exception; the sanitizers see whether a byte outside was touched.
template <class T>
bool survives(const std::vector<std::byte>& bytes) {
  std::unique_ptr<std::byte[]> exact(new std::byte[bytes.size()]);
  if (!bytes.empty()) std::memcpy(exact.get(), bytes.data(), bytes.size());
  reader in(exact.get(), bytes.size());
  try {
    T value = decode<T>(in);
    (void)value;
    return true;
  } catch (const std::exception&) {
    return false;
  }
}

template <class T>
void torment(const T& value) {
  const std::vector<std::byte> good = encoded(value);
  ASSERT_TRUE(survives<T>(good));
  for (std::size_t n = 0; n < good.size(); ++n)
    EXPECT_FALSE(survives<T>({good.begin(), good.begin() + static_cast<std::ptrdiff_t>(n)})) << n;
  std::mt19937 random(1);
  for (std::size_t i = 0; i < good.size(); ++i) {
    for (unsigned flip : {1u, 0x80u, 0xffu}) {
      std::vector<std::byte> bad = good;
      bad[i] ^= static_cast<std::byte>(flip);
      survives<T>(bad);
    }
  }
  for (int round = 0; round < 200; ++round) {
    std::vector<std::byte> noise(random() % (good.size() + 16));
    for (std::byte& b : noise) b = static_cast<std::byte>(random() % (round % 2 == 0 ? 256 : 4));
    survives<T>(noise);
  }
}

TEST(CodecHostile, DamagedMessagesAreValuesOrExceptions) {
  torment(make_record());
  torment(make_tree());
  torment(std::vector<record>(3, make_record()));
  torment(
      std::tuple{1, std::string("x"), std::vector<bool>{true, false}, std::optional<double>(2)});
  torment(
      std::map<std::string, std::variant<int, std::string, tree>>{{"a", 1}, {"b", make_tree()}});
  torment(std::unordered_map<std::string, std::unordered_set<int>>{{"a", {1, 2}}});
  torment(std::vector<member_serialize>{{1, {"a"}}, {2, {}}});
  torment(std::vector<versioned>(2));
  torment(std::vector<std::filesystem::path>{"a/b"});
  torment(std::deque<std::list<std::pair<flagged, std::string>>>{{{{1, true}, "a"}}, {}});
  torment(std::vector<std::bitset<9>>{std::bitset<9>(5)});
  torment(std::stack<std::string>({"a", "b"}));
}

}  // namespace
}  // namespace procpool
