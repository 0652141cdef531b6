// SPDX-License-Identifier: MIT
// Exceptions as bytes and back: the same type, the same words, the same causes, and no bytes that
// hurt.
#include "core/failure.h"

#include <gtest/gtest.h>
#include <sys/wait.h>

#include <exception>
#include <filesystem>
#include <fstream>
#include <future>
#include <ios>
#include <optional>
#include <regex>
#include <stdexcept>
#include <string>
#include <system_error>
#include <typeinfo>
#include <vector>

#include "failure_samples.h"
#include "procpool/detail/rethrown.h"

namespace procpool::core {
namespace {

using namespace test;  // NOLINT: this file is about what stands there
using detail::far_side;
using detail::make_rethrown;

// ---- every type of the table --------------------------------------------------------------------

TEST(KnownTypes, ComeBackAsThemselves) {
  for (const known_type& each : known_types()) {
    SCOPED_TRACE(each.name);
    const std::exception_ptr back = there_and_back(each.thrown);
    each.check(back, what_of(each.thrown));
    EXPECT_EQ(info_of(back).pid, far_pid);
    EXPECT_EQ(info_of(back).type, each.type);
  }
}

TEST(KnownTypes, ComeBackAsThemselvesThroughTwoPools) {
  for (const known_type& each : known_types()) {
    SCOPED_TRACE(each.name);
    const std::exception_ptr back = there_and_back(there_and_back(each.thrown, 1), 2);
    each.check(back, what_of(each.thrown));
    EXPECT_EQ(info_of(back).pid, 2);
    EXPECT_EQ(info_of(back).type, each.type);
  }
}

TEST(KnownTypes, ComeBackAsThemselvesWithACause) {
  for (const known_type& each : known_types()) {
    SCOPED_TRACE(each.name);
    const std::exception_ptr plain = there_and_back(each.thrown);
    const std::exception_ptr caused = from_far([&] {
      try {
        std::rethrow_exception(plain);
      } catch (...) {
        std::throw_with_nested(std::range_error("outer"));
      }
    });
    expect<std::range_error>(caused, [&](const std::range_error& e) {
      EXPECT_STREQ(e.what(), "outer");
      try {
        std::rethrow_if_nested(e);
        ADD_FAILURE() << "nothing is nested";
      } catch (...) {
        each.check(std::current_exception(), what_of(each.thrown));
      }
    });
  }
}

TEST(KnownTypes, WhatIsKeptToTheByte) {
  for (const std::string& text : {std::string(), std::string("line\nline\t\x01\xff\xc3\x28"),
                                  std::string(1 << 20, 'x') + "end"})
    expect_text<std::logic_error>(there_and_back(std::make_exception_ptr(std::logic_error(text))),
                                  text);
}

TEST(KnownTypes, TheRealThrowersAreRecognised) {
  expect<std::out_of_range>(from_far([] { return std::vector<int>(3).at(7); }), [](const auto& e) {
    EXPECT_NE(std::string(e.what()).find('7'), std::string::npos);
  });
  expect<std::bad_optional_access>(from_far([] { return std::optional<int>().value(); }),
                                   [](const auto&) {});
  expect<std::future_error>(
      from_far([] {
        std::future<int> orphan = std::promise<int>().get_future();
        orphan.get();
      }),
      [](const std::future_error& e) { EXPECT_EQ(e.code(), std::future_errc::broken_promise); });
}

// ---- codes --------------------------------------------------------------------------------------

TEST(Codes, CategoriesAreKept) {
  for (const std::error_category* category : {&std::generic_category(), &std::system_category(),
                                              &std::iostream_category(), &std::future_category()}) {
    const std::system_error thrown(2, *category, "words");
    expect<std::system_error>(
        there_and_back(std::make_exception_ptr(thrown)),
        [&](const std::system_error& e) { EXPECT_EQ(e.code(), thrown.code()); });
  }
}

TEST(Codes, ACategoryOfTheUsersBecomesGenericAndItsWordsStay) {
  struct : std::error_category {
    [[nodiscard]] const char* name() const noexcept override { return "weather"; }
    [[nodiscard]] std::string message(int) const override { return "it rains"; }
  } const weather;
  expect<std::system_error>(
      there_and_back(std::make_exception_ptr(std::system_error(5, weather, "no"))),
      [](const std::system_error& e) {
        EXPECT_EQ(e.code(), std::error_code(5, std::generic_category()));
        EXPECT_STREQ(e.what(), "no: it rains");
      });
}

TEST(Codes, CaughtByValueTheWordsAreStillTheSame) {
  const std::error_code code(ENOENT, std::system_category());
  for (const std::system_error& thrown :
       {std::system_error(code), std::system_error(code, "words"), std::system_error(code, "")}) {
    try {
      std::rethrow_exception(there_and_back(std::make_exception_ptr(thrown)));
    } catch (const std::system_error& e) {
      const std::system_error copy = e;  // NOLINT: sliced, as by catch (std::system_error)
      EXPECT_STREQ(copy.what(), thrown.what());
    }
  }
  const std::filesystem::filesystem_error thrown("words", "/a", "/b", code);
  try {
    std::rethrow_exception(there_and_back(std::make_exception_ptr(thrown)));
  } catch (const std::filesystem::filesystem_error& e) {
    const std::filesystem::filesystem_error copy = e;  // NOLINT
    EXPECT_STREQ(copy.what(), thrown.what());
  }
}

TEST(Codes, OfFutureAndRegexAreKept) {
  using std::regex_constants::error_type;
  for (const error_type code :
       {std::regex_constants::error_collate, std::regex_constants::error_stack})
    expect<std::regex_error>(there_and_back(std::make_exception_ptr(std::regex_error(code))),
                             [&](const std::regex_error& e) { EXPECT_EQ(e.code(), code); });
  for (const std::future_errc code : {std::future_errc::no_state, std::future_errc::broken_promise})
    expect<std::future_error>(there_and_back(std::make_exception_ptr(std::future_error(code))),
                              [&](const std::future_error& e) { EXPECT_EQ(e.code(), code); });
}

TEST(Codes, FilesystemErrorKeepsPathsAndCode) {
  const auto error = from_far([] { return std::filesystem::file_size("/no/such/file"); });
  expect<std::filesystem::filesystem_error>(error, [](const std::filesystem::filesystem_error& e) {
    EXPECT_EQ(e.path1(), "/no/such/file");
    EXPECT_EQ(e.path2(), "");
    EXPECT_EQ(e.code(), std::errc::no_such_file_or_directory);
  });
  EXPECT_THROW(std::rethrow_exception(error), std::system_error);
}

TEST(Codes, AStreamsOwnExceptionIsAFailure) {
  const auto error = from_far([] {
    std::ifstream in;
    in.exceptions(std::ios::failbit);
    in.open("/no/such/file");
  });
  expect<std::ios_base::failure>(
      error, [](const std::ios_base::failure& e) { EXPECT_EQ(e.code(), std::io_errc::stream); });
}

// ---- worker_died --------------------------------------------------------------------------------

TEST(WorkerDied, KeepsItsNumbersOnTheWay) {
  for (int status : {W_EXITCODE(0, SIGKILL), W_EXITCODE(0, 0), W_EXITCODE(255, 0)}) {
    const worker_died thrown(1234, status, 5'000'000'000);
    expect<worker_died>(there_and_back(std::make_exception_ptr(thrown)), [&](const worker_died& e) {
      EXPECT_EQ(e.pid(), 1234);
      EXPECT_EQ(e.exit_code(), thrown.exit_code());
      EXPECT_EQ(e.signal(), thrown.signal());
      EXPECT_EQ(e.index(), 5'000'000'000U);
      EXPECT_STREQ(e.what(), thrown.what());
    });
  }
}

TEST(WorkerDied, KeepsItsStoryOnTheWay) {
  const auto known = story();
  const worker_died thrown(1234, W_EXITCODE(0, SIGKILL), 3, known);
  expect<worker_died>(there_and_back(std::make_exception_ptr(thrown)), [&](const worker_died& e) {
    EXPECT_STREQ(e.what(), thrown.what());
    EXPECT_EQ(e.cause(), known->cause);
    EXPECT_EQ(e.fault_address(), known->fault_address);
    ASSERT_EQ(e.stack().size(), 3u);
    for (std::size_t i = 0; i < 3; ++i) {
      EXPECT_EQ(e.stack().places()[i].module, known->stack.places()[i].module);
      EXPECT_EQ(e.stack().places()[i].offset, known->stack.places()[i].offset);
    }
    EXPECT_EQ(e.exception().type, known->exception.type);
    EXPECT_EQ(e.exception().text, known->exception.text);
    EXPECT_EQ(e.usage().user_time, known->usage.user_time);
    EXPECT_EQ(e.usage().system_time, known->usage.system_time);
    EXPECT_EQ(e.usage().max_rss, 3u);
    EXPECT_EQ(e.stderr_tail(), known->stderr_tail);
  });
}

// ---- types that are not in the table ------------------------------------------------------------

struct stranger {
  explicit stranger(const char* /*text*/) {}
};
struct bare_cause : std::nested_exception {};

void expect_stranger(const std::exception_ptr& error, const std::string& type,
                     const std::string& what) {
  expect_text<remote_error>(error, what);
  EXPECT_EQ(info_of(error).type, type);
  EXPECT_EQ(info_of(error).pid, far_pid);
}

const std::string here = "procpool::core::(anonymous namespace)::";

TEST(Strangers, KeepTheirNameThroughTwoPools) {
  const auto once = from_far([] { throw stranger("words"); });
  expect_stranger(there_and_back(once), here + "stranger", here + "stranger");
  const auto number = there_and_back(from_far([] { throw 42; }));
  expect_stranger(number, "int", "int: 42");
  EXPECT_EQ(info_of(number).what, "42");
}

TEST(Strangers, ThatAreNoExceptionsSayTheirValue) {
  expect_stranger(from_far([] { throw 42; }), "int", "int: 42");
  expect_stranger(from_far([] { throw -7L; }), "long", "long: -7");
  expect_stranger(from_far([] { throw ~0ULL; }), "unsigned long long",
                  "unsigned long long: 18446744073709551615");
  expect_stranger(from_far([] { throw true; }), "bool", "bool: 1");
  expect_stranger(from_far([] { throw std::string("words"); }), "std::string",
                  "std::string: words");
  expect_stranger(from_far([] { throw "words"; }), "char const*", "char const*: words");
  // NOLINTNEXTLINE(misc-throw-by-value-catch-by-reference): it is what users throw
  expect_stranger(from_far([] { throw static_cast<const char*>(nullptr); }), "char const*",
                  "char const*: a null pointer");
  expect_stranger(from_far([] { throw 1.5; }), "double", "double");
  char own[] = "words of its own";
  expect_stranger(from_far([&] { throw static_cast<char*>(own); }), "char*",
                  "char*: words of its own");
  expect_stranger(from_far([] { throw stranger("words"); }), here + "stranger", here + "stranger");
}

TEST(Strangers, AnExceptionOfAnotherLanguageIsAnErrorToo) {
  expect<remote_error>(there_and_back(nullptr), [](const remote_error&) {});
}

// ---- causes -------------------------------------------------------------------------------------

TEST(Causes, ThreeLevelsComeBack) {
  std::exception_ptr error = from_far([] { throw_chain(2); });
  expect_text<std::runtime_error>(error, "level 2");
  EXPECT_EQ(info_of(error).type, "std::runtime_error");
  expect_text<std::runtime_error>(error = cause_of(error), "level 1");
  expect<std::system_error>(error = cause_of(error), [](const std::system_error& e) {
    EXPECT_EQ(e.code(), std::errc::no_space_on_device);
    ASSERT_NE(remote_info::of(e), nullptr);
    EXPECT_EQ(remote_info::of(e)->pid, far_pid);
  });
  EXPECT_FALSE(cause_of(error));
}

TEST(Causes, AreAllKeptDownToTheLimit) {
  std::exception_ptr error = from_far([] { throw_chain(deepest_cause); });
  for (std::uint32_t depth = deepest_cause; depth > 0; --depth) {
    expect_text<std::runtime_error>(error, "level " + std::to_string(depth));
    error = cause_of(error);
  }
  expect<std::system_error>(error, [](const std::system_error&) {});
  EXPECT_FALSE(cause_of(error));
}

TEST(Causes, DeeperOnesAreReplacedByANote) {
  std::exception_ptr error = from_far([] { throw_chain(40); });
  for (std::uint32_t i = 0; i <= deepest_cause; ++i) {
    expect_text<std::runtime_error>(error, "level " + std::to_string(40 - i));
    error = cause_of(error);
  }
  expect_text<remote_error>(error, "procpool: deeper causes were left out");
  EXPECT_FALSE(cause_of(error));
}

TEST(Causes, OfStrangersAndInStrangersComeBack) {
  std::exception_ptr error = from_far([] {
    try {
      throw 42;
    } catch (...) {
      std::throw_with_nested(stranger("outer"));
    }
  });
  expect_stranger(error, here + "stranger", here + "stranger");
  expect_stranger(cause_of(error), "int", "int: 42");

  error = from_far([] {
    try {
      throw std::domain_error("inner");
    } catch (...) {
      std::throw_with_nested(std::string("outer"));
    }
  });
  expect_stranger(error, "std::string", "std::string: outer");
  expect_text<std::domain_error>(cause_of(error), "inner");

  error = from_far([] {
    try {
      throw std::domain_error("inner");
    } catch (...) {
      throw bare_cause();
    }
  });
  expect_stranger(error, here + "bare_cause", here + "bare_cause");
  expect_text<std::domain_error>(cause_of(error), "inner");
}

TEST(Causes, ANestedExceptionAloneComesBackAsItself) {
  const auto with = from_far([] {
    try {
      throw std::domain_error("inner");
    } catch (...) {
      throw std::nested_exception();
    }
  });
  expect<std::nested_exception>(with, [](const std::nested_exception& e) {
    expect_text<std::domain_error>(e.nested_ptr(), "inner");
  });
  const auto without = std::make_exception_ptr(std::nested_exception());
  try {
    throw std::runtime_error("at hand");
  } catch (...) {
    expect<std::nested_exception>(there_and_back(without), [](const std::nested_exception& e) {
      EXPECT_FALSE(e.nested_ptr());
    });
  }
}

TEST(Causes, NestKeepsTypeAndCause) {
  const auto cause = std::make_exception_ptr(std::domain_error("inner"));
  for (const std::exception_ptr& error : {detail::nest(serialization_error("outer"), cause),
                                          nest(serialization_error("outer"), cause)}) {
    EXPECT_THROW(std::rethrow_exception(error), serialization_error);
    EXPECT_EQ(what_of(error), "outer");
    EXPECT_EQ(cause_of(error), cause);
    expect_text<serialization_error>(there_and_back(error), "outer");
    expect_text<std::domain_error>(cause_of(there_and_back(error)), "inner");
  }
  EXPECT_FALSE(cause_of(nest(pool_broken("alone"), nullptr)));
}

TEST(Causes, DecodingInAHandlerAddsNone) {
  try {
    throw std::runtime_error("at hand");
  } catch (...) {
    EXPECT_FALSE(cause_of(there_and_back(std::make_exception_ptr(std::logic_error("far")))));
  }
}

// ---- frames -------------------------------------------------------------------------------------

TEST(Frames, StayWithTheirExceptionThroughTwoPools) {
  const std::exception_ptr inner = std::make_exception_ptr(std::range_error("inner"));
  const std::exception_ptr error = nest(serialization_error("outer"), inner);
  const std::vector<detail::place> places{{1, 2}, {0, 3}};
  vector_writer out;
  encode_error(out, error, {inner, places});
  std::exception_ptr back = detail::decode_error(out.bytes(), far_pid);
  for (int round = 0; round < 2; ++round, back = there_and_back(back)) {
    EXPECT_TRUE(info_of(back).stack.empty());
    const stacktrace stack = info_of(cause_of(back)).stack;
    ASSERT_EQ(stack.size(), 2U);
    EXPECT_EQ(stack.places()[0].module, 1U);
    EXPECT_EQ(stack.places()[0].offset, 2U);
    EXPECT_EQ(stack.places()[1].module, 0U);
    EXPECT_EQ(stack.places()[1].offset, 3U);
  }
}

TEST(Frames, AreNeverMoreThanTheLimit) {
  const std::exception_ptr error = std::make_exception_ptr(std::range_error("deep"));
  const std::vector<detail::place> places(1000, {1, 2});
  vector_writer out;
  encode_error(out, error, {error, places});
  EXPECT_EQ(info_of(detail::decode_error(out.bytes(), far_pid)).stack.size(), 64U);
}

TEST(Rethrown, AFinalClassComesBackPlain) {
  struct sealed final : std::exception {};
  try {
    std::rethrow_exception(make_rethrown(sealed(), far_side()));
  } catch (const sealed& e) {
    EXPECT_TRUE(typeid(e) == typeid(sealed));
    EXPECT_EQ(remote_info::of(e), nullptr);
  }
}

}  // namespace
}  // namespace procpool::core
