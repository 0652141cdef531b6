// SPDX-License-Identifier: MIT
// Types of the user's own as bytes and back: those that were registered as themselves, the others
// as the nearest base there is.
#include <gtest/gtest.h>

#include <list>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "core/failure.h"
#include "failure_samples.h"
#include "procpool/exception.h"

namespace procpool::user {

struct parse_error : std::runtime_error {
  parse_error(const std::string& what, int at) : std::runtime_error(what), line(at) {}
  int line;
};
PROCPOOL_EXCEPTION(parse_error, e.what(), e.line);

struct without_arguments : std::exception {
  [[nodiscard]] const char* what() const noexcept override { return "by itself"; }
};
PROCPOOL_EXCEPTION(without_arguments);

struct last_of_its_line final : std::logic_error {
  using std::logic_error::logic_error;
};
PROCPOOL_EXCEPTION(last_of_its_line, e.what());

struct no_exception {
  int code;
  std::vector<std::string> words;
};
PROCPOOL_EXCEPTION(no_exception, e);

struct fields_in_braces {
  int code;
  std::string text;
};
PROCPOOL_EXCEPTION(fields_in_braces, e.code, e.text);

struct many {
  many(std::string a, std::string b, std::string c, std::span<const double> d, bool e,
       const std::list<int>& f)
      : view(std::move(a)),
        array(std::move(b)),
        text(std::move(c)),
        numbers(d.begin(), d.end()),
        bit(e),
        list(f) {}
  std::string view, array, text;
  std::vector<double> numbers;
  bool bit;
  std::list<int> list;
};
PROCPOOL_EXCEPTION(many, std::string_view(e.view), "array", e.text.c_str(), std::span(e.numbers),
                   std::vector<bool>{e.bit}[0], e.list);

struct only_moved : std::runtime_error {
  explicit only_moved(int n) : std::runtime_error("moved"), value(std::make_unique<int>(n)) {}
  std::unique_ptr<int> value;
};
PROCPOOL_EXCEPTION(only_moved, *e.value);

struct with_own_cause : std::runtime_error, std::nested_exception {
  explicit with_own_cause(const std::string& what) : std::runtime_error(what) {}
};
PROCPOOL_EXCEPTION(with_own_cause, e.what());

struct over_virtual_base : virtual std::runtime_error {
  explicit over_virtual_base(int n) : std::runtime_error("virtual"), number(n) {}
  int number;
};
PROCPOOL_EXCEPTION(over_virtual_base, e.number);

struct over_virtual_exception : virtual std::exception {
  explicit over_virtual_exception(int n) : number(n) {}
  int number;
};
PROCPOOL_EXCEPTION(over_virtual_exception, e.number);

struct refuses_to_go : std::out_of_range {
  using std::out_of_range::out_of_range;
  [[nodiscard]] int refuse() const { throw std::length_error("not there"); }
};
PROCPOOL_EXCEPTION(refuses_to_go, std::to_string(e.refuse()));

struct refuses_to_come : std::out_of_range {
  explicit refuses_to_come(const char* text) : std::out_of_range(text) {}
  explicit refuses_to_come(const std::string& text) : std::out_of_range(text) {
    throw std::length_error("not here");
  }
};
PROCPOOL_EXCEPTION(refuses_to_come, e.what());

}  // namespace procpool::user

struct global_error : procpool::user::parse_error {
  using parse_error::parse_error;
};
PROCPOOL_EXCEPTION(global_error, e.what(), e.line);

namespace procpool::test {
namespace {

using namespace user;  // NOLINT: this file is about what stands there

template <class E>
std::exception_ptr sent(E e) {
  return there_and_back(std::make_exception_ptr(std::move(e)));
}

void expect_remote_error(const std::exception_ptr& error, const std::string& what) {
  expect_text<remote_error>(error, what);
}

// ---- registered ---------------------------------------------------------------------------------

TEST(Registered, ComesBackAsItselfWithItsFields) {
  std::exception_ptr error = sent(parse_error("no number", 17));
  for (int round = 0; round < 2; ++round, error = there_and_back(error)) {
    expect<parse_error>(error, [](const parse_error& e) {
      EXPECT_STREQ(e.what(), "no number");
      EXPECT_EQ(e.line, 17);
    });
    EXPECT_EQ(info_of(error).type, "procpool::user::parse_error");
    EXPECT_EQ(info_of(error).what, "no number");
    EXPECT_EQ(info_of(error).pid, far_pid);
  }
}

TEST(Registered, InTheGlobalNamespace) {
  expect<global_error>(sent(global_error("deep", 3)),
                       [](const global_error& e) { EXPECT_EQ(e.line, 3); });
}

TEST(Registered, WithoutArgumentsItIsDefaultConstructed) {
  expect_text<without_arguments>(sent(without_arguments()), "by itself");
}

TEST(Registered, FinalTypesComeBackPlain) {
  expect<last_of_its_line>(sent(last_of_its_line("words")),
                           [](const last_of_its_line& e) { EXPECT_STREQ(e.what(), "words"); });
}

TEST(Registered, NeedNotBeExceptions) {
  const auto error = sent(no_exception{7, {"a", "b"}});
  expect<no_exception>(error, [](const no_exception& e) {
    EXPECT_EQ(e.code, 7);
    EXPECT_EQ(e.words, (std::vector<std::string>{"a", "b"}));
  });
  EXPECT_EQ(info_of(error).type, "procpool::user::no_exception");
  expect<fields_in_braces>(sent(fields_in_braces{8, "c"}), [](const fields_in_braces& e) {
    EXPECT_EQ(e.code, 8);
    EXPECT_EQ(e.text, "c");
  });
}

TEST(Registered, ArgumentsOfEachKindArrive) {
  const many thrown("view", "", "text", std::vector<double>{1, 2}, true, {3, 4});
  expect<many>(sent(thrown), [](const many& e) {
    EXPECT_EQ(e.view, "view");
    EXPECT_EQ(e.array, "array");
    EXPECT_EQ(e.text, "text");
    EXPECT_EQ(e.numbers, (std::vector<double>{1, 2}));
    EXPECT_TRUE(e.bit);
    EXPECT_EQ(e.list, (std::list<int>{3, 4}));
  });
}

TEST(Registered, MayBeMovedOnly) {
  const auto error = from_far([] { throw only_moved(5); });
  expect<only_moved>(error, [](const only_moved& e) { EXPECT_EQ(*e.value, 5); });
}

TEST(Registered, CausesGoToTheirPlace) {
  const auto own = from_far([] {
    try {
      throw parse_error("inner", 1);
    } catch (...) {
      throw with_own_cause("outer");
    }
  });
  expect_text<with_own_cause>(own, "outer");
  expect<parse_error>(cause_of(own), [](const parse_error& e) { EXPECT_EQ(e.line, 1); });
  const auto wrapped = from_far([] {
    try {
      throw 42;
    } catch (...) {
      std::throw_with_nested(parse_error("outer", 2));
    }
  });
  expect<parse_error>(wrapped, [](const parse_error& e) { EXPECT_EQ(e.line, 2); });
  expect_remote_error(cause_of(wrapped), "int: 42");
}

TEST(Registered, MayHaveVirtualBases) {
  expect<over_virtual_base>(sent(over_virtual_base(6)), [](const over_virtual_base& e) {
    EXPECT_EQ(e.number, 6);
    EXPECT_STREQ(e.what(), "virtual");
  });
  const auto error = sent(over_virtual_exception(7));
  expect<over_virtual_exception>(error, [](const auto& e) { EXPECT_EQ(e.number, 7); });
  EXPECT_EQ(info_of(error).pid, far_pid);
}

TEST(Registered, WhatCannotBeWrittenFallsBackToItsBase) {
  const auto error = sent(refuses_to_go("words"));
  expect_text<std::out_of_range>(error, "words");
  EXPECT_EQ(info_of(error).type, "procpool::user::refuses_to_go");
}

TEST(Registered, WhatCannotBeMadeIsARemoteErrorWithItsWords) {
  const auto error = sent(refuses_to_come("words"));
  expect_remote_error(error, "procpool::user::refuses_to_come: words");
  EXPECT_EQ(info_of(error).what, "words");
  EXPECT_EQ(info_of(error).pid, far_pid);
}

TEST(Registered, DamagedArgumentsLoseNoWords) {
  const auto whole = encoded(std::make_exception_ptr(no_exception{7, {"ab", "cd"}}));
  int lost = 0;
  for (std::size_t i = whole.size() - 40; i < whole.size(); ++i) {
    auto damaged = whole;
    damaged[i] ^= std::byte{0x80};
    try {
      std::rethrow_exception(detail::decode_error(damaged, far_pid));
    } catch (const no_exception&) {
    } catch (const remote_error& e) {
      ++lost;
      EXPECT_STREQ(e.what(), "procpool::user::no_exception");
    } catch (const serialization_error&) {
    }
  }
  EXPECT_GT(lost, 0);
}

TEST(Registered, IsForgottenWithItsRegistration) {
  struct plugged : std::range_error {
    using std::range_error::range_error;
  };
  {
    const detail::exception_registration here(
        {&typeid(plugged), [](detail::writer&, const void*) {},
         [](detail::reader&, detail::far_side&& from) {
           return detail::make_rethrown(plugged("made"), std::move(from));
         }});
    expect_text<plugged>(sent(plugged("words")), "words");
  }
  expect_text<std::range_error>(sent(plugged("words")), "words");
}

// ---- not registered -----------------------------------------------------------------------------

const std::string here = "procpool::test::(anonymous namespace)::";

struct leaf : parse_error {
  using parse_error::parse_error;
};
struct far_range : std::out_of_range {
  using std::out_of_range::out_of_range;
};
struct farther_range : far_range {
  using far_range::far_range;
};
struct not_copied : std::runtime_error {
  not_copied() : std::runtime_error("only one") {}
  not_copied(const not_copied&) = delete;
  // A throw wants a constructor to call in name; elided in fact.
  not_copied(not_copied&&) noexcept : not_copied() { ADD_FAILURE() << "moved"; }
};

TEST(NearestBase, IsWhatAnUnknownTypeComesBackAs) {
  const auto error = sent(far_range("words"));
  expect_text<std::out_of_range>(error, "words");
  EXPECT_EQ(info_of(error).type, here + "far_range");
  expect_text<std::out_of_range>(sent(farther_range("words")), "words");
  expect_text<std::runtime_error>(from_far([] { throw not_copied(); }), "only one");
}

TEST(NearestBase, MayBeARegisteredOne) {
  const auto error = there_and_back(sent(leaf("words", 9)));
  expect<parse_error>(error, [](const parse_error& e) {
    EXPECT_STREQ(e.what(), "words");
    EXPECT_EQ(e.line, 9);
  });
  EXPECT_EQ(info_of(error).type, here + "leaf");
}

struct speaks_for_itself : std::runtime_error {
  speaks_for_itself() : std::runtime_error("the base's") {}
  [[nodiscard]] const char* what() const noexcept override { return "its own"; }
};
TEST(NearestBase, KeepsTheWordsOfTheTrueType) {
  expect_text<std::runtime_error>(sent(speaks_for_itself()), "its own");
}

struct of_exception : std::exception {
  [[nodiscard]] const char* what() const noexcept override { return "words"; }
};
struct silent : std::exception {
  [[nodiscard]] const char* what() const noexcept override { return nullptr; }
};
struct secret : private std::runtime_error {
  secret() : std::runtime_error("words") {}
};
TEST(NearestBase, ThereMayBeNone) {
  // A remote_error is a std::exception too, and says the type.
  expect_remote_error(sent(of_exception()), here + "of_exception: words");
  EXPECT_EQ(info_of(sent(of_exception())).what, "words");
  expect_remote_error(sent(silent()), here + "silent");
  expect_remote_error(sent(secret()), here + "secret");
}

struct two_bases : std::runtime_error, std::bad_alloc {
  two_bases() : std::runtime_error("words") {}
};
struct left : std::runtime_error {
  left() : std::runtime_error("left") {}
};
struct right : std::runtime_error {
  right() : std::runtime_error("right") {}
};
struct both : left, right {};
struct deep_and_near : farther_range, parse_error {
  deep_and_near() : farther_range("far"), parse_error("near", 4) {}
};
TEST(NearestBase, IsUnambiguousAndTheNearest) {
  expect_text<std::runtime_error>(sent(two_bases()), "words");
  expect_remote_error(sent(both()), here + "both");
  expect<parse_error>(sent(deep_and_near()), [](const parse_error& e) {
    EXPECT_EQ(e.line, 4);
    EXPECT_STREQ(e.what(), "near");
  });
}

struct virtual_left : virtual std::exception {};
struct virtual_right : virtual std::exception {};
struct diamond : virtual_left, virtual_right {
  [[nodiscard]] const char* what() const noexcept override { return "words"; }
};
struct virtual_runtime : virtual std::runtime_error {
  virtual_runtime() : std::runtime_error("words") {}
};
struct virtual_leaf : virtual_runtime {
  virtual_leaf() : std::runtime_error("leaf") {}
};
TEST(NearestBase, IsFoundThroughVirtualInheritance) {
  expect_remote_error(sent(diamond()), here + "diamond: words");
  expect_text<std::runtime_error>(sent(virtual_runtime()), "words");
  expect_text<std::runtime_error>(sent(virtual_leaf()), "leaf");
}

}  // namespace
}  // namespace procpool::test
