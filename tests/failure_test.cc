// SPDX-License-Identifier: MIT
// Exceptions as bytes and back: the same type, the same words, the same causes, and no bytes that
// hurt.
#include "core/failure.h"

#include <gtest/gtest.h>
#include <sys/wait.h>

#include <any>
#include <csignal>
#include <exception>
#include <filesystem>
#include <fstream>
#include <functional>
#include <future>
#include <ios>
#include <memory>
#include <new>
#include <optional>
#include <random>
#include <regex>
#include <stdexcept>
#include <string>
#include <system_error>
#include <typeinfo>
#include <variant>
#include <vector>

#include "core/rethrown.h"
#include "vector_writer.h"

namespace procpool::core {
namespace {

using test::vector_writer;

constexpr int far_pid = 4321;

std::vector<std::byte> encoded(const std::exception_ptr& error) {
  vector_writer out;
  encode_error(out, error);
  return out.bytes();
}

std::exception_ptr there_and_back(const std::exception_ptr& error, int pid = far_pid) {
  return detail::decode_error(encoded(error), pid);
}

/// What `thrower` throws, as the parent gets it.
template <class F>
std::exception_ptr from_far(F thrower) {
  try {
    thrower();
  } catch (...) {
    return there_and_back(std::current_exception());
  }
  ADD_FAILURE() << "nothing was thrown";
  return std::make_exception_ptr(0);
}

/// Calls check(e) with the exception when it is an E exactly, or rethrown as one.
template <class E, class F>
void expect(const std::exception_ptr& error, F check) {
  ASSERT_TRUE(error);
  try {
    std::rethrow_exception(error);
  } catch (const E& e) {
    const std::type_info& type = typeid(e);
    EXPECT_TRUE(type == typeid(rethrown<E>) || type == typeid(rethrown_with_cause<E>))
        << type.name();
    check(e);
  } catch (...) {
    ADD_FAILURE() << "thrown is a " << std::current_exception().__cxa_exception_type()->name();
  }
}

template <class E>
void expect_text(const std::exception_ptr& error, const std::string& what) {
  expect<E>(error, [&](const E& e) { EXPECT_EQ(e.what(), what); });
}

// ---- every type of the table
// -----------------------------------------------------------------------

struct known_type {
  const char* name;
  std::exception_ptr thrown;
  void (*check)(const std::exception_ptr&, const std::string& what);
  std::string type;
};

template <class E, class... Args>
known_type known(const char* name, const char* type, Args&&... args) {
  return {name, std::make_exception_ptr(E(std::forward<Args>(args)...)),
          [](const std::exception_ptr& p, const std::string& what) { expect_text<E>(p, what); },
          type};
}

#define TYPE(E, ...) known<E>(#E, #E __VA_OPT__(, ) __VA_ARGS__)

std::vector<known_type> known_types() {
  const std::error_code code(EACCES, std::generic_category());
  return {
      TYPE(std::exception),
      TYPE(std::runtime_error, "words"),
      TYPE(std::logic_error, "words"),
      TYPE(std::invalid_argument, "words"),
      TYPE(std::domain_error, "words"),
      TYPE(std::length_error, "words"),
      TYPE(std::out_of_range, "words"),
      TYPE(std::range_error, "words"),
      TYPE(std::overflow_error, "words"),
      TYPE(std::underflow_error, "words"),
      TYPE(std::bad_alloc),
      TYPE(std::bad_array_new_length),
      TYPE(std::bad_cast),
      TYPE(std::bad_any_cast),
      TYPE(std::bad_typeid),
      TYPE(std::bad_exception),
      TYPE(std::bad_function_call),
      TYPE(std::bad_weak_ptr),
      TYPE(std::bad_optional_access),
      TYPE(std::bad_variant_access),
      TYPE(std::system_error, code, "words"),
      known<std::ios_base::failure>("failure", "std::ios_base::failure[abi:cxx11]", "words", code),
      known<std::filesystem::filesystem_error>("filesystem_error",
                                               "std::filesystem::__cxx11::filesystem_error",
                                               "words", "/a", "/b", code),
      TYPE(std::future_error, std::future_errc::broken_promise),
      TYPE(std::regex_error, std::regex_constants::error_brack),
      TYPE(procpool::error, "words"),
      TYPE(procpool::timeout_error),
      TYPE(procpool::task_cancelled),
      TYPE(procpool::pool_terminated),
      TYPE(procpool::pool_closed),
      TYPE(procpool::pool_broken, "words"),
      TYPE(procpool::initializer_failed, "words"),
      TYPE(procpool::serialization_error, "words"),
      TYPE(procpool::remote_error, "some_type: words"),
      TYPE(procpool::wrong_process),
      TYPE(procpool::worker_died, 77, SIGSEGV, 3),
  };
}

std::string what_of(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const std::exception& e) {
    return e.what();
  }
}

remote_info info_of(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const std::exception& e) {
    const remote_info* info = remote_info::of(e);
    EXPECT_NE(info, nullptr);
    return info != nullptr ? *info : remote_info();
  }
}

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

TEST(KnownTypes, ALocalExceptionHasNoRemoteInfo) {
  EXPECT_EQ(remote_info::of(std::runtime_error("here")), nullptr);
  EXPECT_EQ(remote_info::of(timeout_error()), nullptr);
}

TEST(KnownTypes, WhatIsKeptToTheByte) {
  for (const std::string& text : {std::string(), std::string("line\nline\t\x01\xff\xc3\x28"),
                                  std::string(1 << 20, 'x') + "end"})
    expect_text<std::logic_error>(there_and_back(std::make_exception_ptr(std::logic_error(text))),
                                  text);
}

TEST(KnownTypes, TheRealThrowersAreRecognised) {
  expect<std::out_of_range>(from_far([] { return std::vector<int>(3).at(7); }), [](const auto& e) {
    EXPECT_NE(std::string(e.what()).find("7"), std::string::npos);
  });
  expect<std::bad_array_new_length>(from_far([] {
                                      volatile std::ptrdiff_t n = -1;
                                      delete[] new int[static_cast<std::size_t>(n)];
                                    }),
                                    [](const auto&) {});
  expect<std::future_error>(
      from_far([] {
        std::future<int> orphan = std::promise<int>().get_future();
        orphan.get();
      }),
      [](const std::future_error& e) { EXPECT_EQ(e.code(), std::future_errc::broken_promise); });
}

// ---- codes
// -----------------------------------------------------------------------------------------

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

// ---- worker_died
// -----------------------------------------------------------------------------------

TEST(WorkerDied, SaysWhatTheStatusSays) {
  const worker_died killed(1234, W_EXITCODE(0, SIGSEGV) | WCOREFLAG, 3);
  EXPECT_STREQ(killed.what(),
               "procpool: worker 1234 was killed by signal 11 (SIGSEGV) while running item 3");
  EXPECT_EQ(killed.signal(), SIGSEGV);
  EXPECT_EQ(killed.exit_code(), -1);
  EXPECT_EQ(killed.cause(), worker_died::cause_type::signalled);

  const worker_died left(1234, W_EXITCODE(99, 0), 0);
  EXPECT_STREQ(left.what(), "procpool: worker 1234 exited with code 99 while running item 0");
  EXPECT_EQ(left.signal(), 0);
  EXPECT_EQ(left.exit_code(), 99);
  EXPECT_EQ(left.cause(), worker_died::cause_type::exited);

  const std::string real_time = worker_died(1, W_EXITCODE(0, 40), 0).what();
  EXPECT_EQ(real_time, "procpool: worker 1 was killed by signal 40 while running item 0");
}

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

// ---- types that are not in the table
// ---------------------------------------------------------------

struct stranger : std::out_of_range {
  using std::out_of_range::out_of_range;
};
struct silent : std::exception {
  [[nodiscard]] const char* what() const noexcept override { return nullptr; }
};
struct twice : std::runtime_error, std::bad_alloc {
  twice() : std::runtime_error("words") {}
};
struct uncopyable : std::runtime_error {
  uncopyable() : std::runtime_error("only one") {}
  uncopyable(const uncopyable&) = delete;
  // A throw wants a constructor to call in name; elided in fact.
  uncopyable(uncopyable&&) : uncopyable() { ADD_FAILURE() << "moved"; }
};
struct no_exception {};
struct bare_cause : std::nested_exception {};

void expect_stranger(const std::exception_ptr& error, const std::string& type,
                     const std::string& what) {
  expect_text<remote_error>(error, what);
  EXPECT_EQ(info_of(error).type, type);
  EXPECT_EQ(info_of(error).pid, far_pid);
}

const std::string here = "procpool::core::(anonymous namespace)::";

TEST(Strangers, BecomeRemoteErrorWhateverTheyDeriveFrom) {
  expect_stranger(from_far([] { throw stranger("words"); }), here + "stranger",
                  here + "stranger: words");
  expect_stranger(from_far([] { throw silent(); }), here + "silent", here + "silent: ");
  expect_stranger(from_far([] { throw twice(); }), here + "twice", here + "twice: words");
  expect_stranger(from_far([] { throw uncopyable(); }), here + "uncopyable",
                  here + "uncopyable: only one");
}

TEST(Strangers, KeepTheirNameThroughTwoPools) {
  const auto once = from_far([] { throw stranger("words"); });
  expect_stranger(there_and_back(once), here + "stranger", here + "stranger: words");
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
  expect_stranger(from_far([] { throw static_cast<const char*>(nullptr); }), "char const*",
                  "char const*: a null pointer");
  expect_stranger(from_far([] { throw 1.5; }), "double", "double");
  expect_stranger(from_far([] { throw no_exception(); }), here + "no_exception",
                  here + "no_exception");
}

TEST(Strangers, AnExceptionOfAnotherLanguageIsAnErrorToo) {
  expect<remote_error>(there_and_back(nullptr), [](const remote_error&) {});
}

// ---- causes
// ----------------------------------------------------------------------------------------

void throw_chain(int depth) {
  try {
    if (depth == 0) throw std::system_error(ENOSPC, std::generic_category(), "bottom");
    throw_chain(depth - 1);
  } catch (...) {
    if (depth == 0) throw;
    std::throw_with_nested(std::runtime_error("level " + std::to_string(depth)));
  }
}

std::exception_ptr cause_of(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const std::exception& e) {
    try {
      std::rethrow_if_nested(e);
      return nullptr;
    } catch (...) {
      return std::current_exception();
    }
  }
}

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
  expect_stranger(error, here + "stranger", here + "stranger: outer");
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

TEST(Rethrown, AFinalClassComesBackPlain) {
  struct sealed final : std::exception {};
  try {
    std::rethrow_exception(make_rethrown(sealed(), far_side()));
  } catch (const sealed& e) {
    EXPECT_TRUE(typeid(e) == typeid(sealed));
    EXPECT_EQ(remote_info::of(e), nullptr);
  }
}

// ---- bytes that are no error
// -----------------------------------------------------------------------

/// Decodes what may be anything: true when it was refused. Looks at all that came, for sanitizers.
bool refused(const std::vector<std::byte>& bytes) {
  std::exception_ptr error = detail::decode_error(bytes, far_pid);
  EXPECT_TRUE(error);
  bool no = false;
  for (bool first = true; error; first = false) {
    try {
      std::rethrow_exception(error);
    } catch (const std::exception& e) {
      EXPECT_LE(std::string(e.what()).size(), 4 * bytes.size() + 200);
      no = first && typeid(e) == typeid(serialization_error);
    }
    if (no) break;
    error = cause_of(error);
  }
  return no;
}

std::vector<std::vector<std::byte>> samples() {
  std::vector<std::vector<std::byte>> all;
  for (const known_type& each : known_types()) all.push_back(encoded(each.thrown));
  try {
    throw_chain(3);
  } catch (...) {
    all.push_back(encoded(std::current_exception()));
  }
  all.push_back(encoded(std::make_exception_ptr(42)));
  return all;
}

TEST(Hostile, EveryTruncationIsRefused) {
  for (const auto& whole : samples()) {
    EXPECT_FALSE(refused(whole));
    for (std::size_t n = 0; n < whole.size(); ++n)
      EXPECT_TRUE(refused({whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(n)})) << n;
  }
}

TEST(Hostile, TrailingBytesAreRefused) {
  for (auto bytes : samples()) {
    bytes.push_back(std::byte{0});
    EXPECT_TRUE(refused(bytes));
  }
}

TEST(Hostile, EveryDamagedByteYieldsSomeException) {
  std::size_t refusals = 0;
  for (const auto& whole : samples())
    for (std::size_t i = 0; i < whole.size(); ++i)
      for (const std::byte mask : {std::byte{0x01}, std::byte{0x80}, std::byte{0xff}}) {
        auto damaged = whole;
        damaged[i] ^= mask;
        refusals += refused(damaged);
      }
  EXPECT_GT(refusals, 0U);
}

TEST(Hostile, RandomBytesAreRefused) {
  std::mt19937 random(20240501);
  for (int round = 0; round < 2000; ++round) {
    std::vector<std::byte> bytes(random() % 200);
    for (std::byte& b : bytes) b = static_cast<std::byte>(random());
    EXPECT_TRUE(refused(bytes));
  }
}

TEST(Hostile, RandomlyDamagedRecordsYieldSomeException) {
  std::mt19937 random(20240502);
  const auto all = samples();
  for (int round = 0; round < 5000; ++round) {
    auto bytes = all[random() % all.size()];
    for (auto n = 1 + random() % 8; n > 0; --n)
      bytes[random() % bytes.size()] = static_cast<std::byte>(random());
    refused(bytes);
  }
}

TEST(Reader, RefusesWhatIsTooShortOrTooDeep) {
  const std::byte one{1};
  detail::reader in(&one, 1);
  EXPECT_THROW(in.take(2), serialization_error);
  EXPECT_EQ(in.left(), 1U);
  std::vector<std::unique_ptr<detail::reader::level>> levels;
  for (int i = 0; i < detail::reader::deepest; ++i)
    levels.push_back(std::make_unique<detail::reader::level>(in));
  EXPECT_THROW(detail::reader::level{in}, serialization_error);
}

}  // namespace
}  // namespace procpool::core
