// SPDX-License-Identifier: MIT
// Pointers to functions and members as bytes: there and back, and what damaged bytes become.
#include "procpool/detail/code.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <cstdint>
#include <cstring>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <tuple>
#include <variant>
#include <vector>

#include "procpool/codec.h"
#include "vector_writer.h"

namespace procpool {
namespace {

int twice(int x) { return 2 * x; }
int thrice(int x) noexcept { return 3 * x; }

struct shape {
  double side = 3;
  int corners = 4;
  double area() const { return side * side; }
  virtual double height() const { return side; }
  virtual ~shape() = default;
};
struct tall : shape {
  double height() const override { return 10 * side; }
  double extra = 1;
};

using function = int (*)(int);
using quiet = int (*)(int) noexcept;
using member = double (shape::*)() const;
using field = double shape::*;

template <class T>
std::vector<std::byte> encoded(const T& value) {
  test::vector_writer out;
  detail::encode(out, value);
  return out.bytes();
}
template <class T>
T decoded(const std::vector<std::byte>& bytes) {
  detail::reader in(bytes.data(), bytes.size());
  T value = detail::decode<T>(in);
  EXPECT_EQ(in.left(), 0u);
  return value;
}
template <class T>
T sent(const T& value) {
  return decoded<T>(encoded(value));
}

TEST(code, functions_and_members_there_and_back) {
  EXPECT_EQ(sent<function>(twice), &twice);
  EXPECT_EQ(sent<quiet>(thrice)(2), 6);
  const tall t;
  const shape& s = t;
  EXPECT_EQ((s.*sent<member>(&shape::area))(), 9);
  EXPECT_EQ((s.*sent<member>(&shape::height))(), 30);
  EXPECT_EQ(s.*sent<field>(&shape::side), 3);
  EXPECT_EQ(s.*sent<int shape::*>(&shape::corners), 4);
}

TEST(code, null_is_a_value) {
  EXPECT_EQ(sent<function>(nullptr), nullptr);
  EXPECT_TRUE(sent<member>(nullptr) == nullptr);
  EXPECT_TRUE(sent<field>(nullptr) == nullptr);
}

struct step {
  std::string name;
  function call = nullptr;
  member ask = nullptr;
};

TEST(code, inside_other_values) {
  EXPECT_EQ(sent(std::vector<function>{twice, nullptr}), (std::vector<function>{twice, nullptr}));
  EXPECT_EQ(sent(std::map<std::string, function>{{"a", twice}}).at("a")(4), 8);
  EXPECT_EQ((*sent(std::optional<function>(twice)))(4), 8);
  EXPECT_EQ(std::get<1>(sent(std::tuple<int, function>(1, twice)))(4), 8);
  EXPECT_EQ(std::get<function>(sent(std::variant<int, function>(twice)))(4), 8);
  const step s = sent(step{"n", twice, &shape::area});
  EXPECT_EQ(s.call(1), 2);
  EXPECT_TRUE(s.ask == &shape::area);
}

TEST(code, made_at_run_time_it_has_no_name) {
  void* page = ::mmap(nullptr, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(page, MAP_FAILED);
  EXPECT_THROW(encoded(reinterpret_cast<function>(page)), error);
  ::munmap(page, 4096);
}

template <class T>
void expect_refused(std::vector<std::byte> bytes, std::size_t at, std::uint64_t word) {
  std::memcpy(&bytes.at(at), &word, sizeof word);
  EXPECT_THROW(decoded<T>(bytes), serialization_error) << at << ' ' << word;
}

TEST(code, only_code_of_a_known_module_is_read) {
  const auto bytes = encoded<function>(twice);
  for (const std::uint64_t module : {std::uint64_t{1}, ~std::uint64_t{0}, std::uint64_t{0}})
    expect_refused<function>(bytes, 0, module);
  // The head of the file is not executable; the others lie in no segment.
  for (const std::uint64_t offset : {std::uint64_t{0}, ~std::uint64_t{0}, std::uint64_t{1} << 40})
    expect_refused<function>(bytes, 8, offset);
  // Constants are no code.
  static const int constant = 7;
  test::vector_writer out;
  EXPECT_NO_THROW(detail::write_code(out, &constant));
  EXPECT_THROW(decoded<function>(out.bytes()), serialization_error);
}

TEST(code, member_pointers_that_are_none_are_refused) {
  auto flag = encoded<member>(&shape::height);
  flag[0] = std::byte{2};
  EXPECT_THROW(decoded<member>(flag), serialization_error);
  const auto is_virtual = encoded<member>(&shape::height);
  for (const std::uint64_t word : {std::uint64_t{0}, std::uint64_t{4}, std::uint64_t{1} << 30})
    expect_refused<member>(is_virtual, 9, word);
  const auto data = encoded<field>(&shape::side);
  for (const std::int64_t word : {std::int64_t{-2}, std::int64_t{sizeof(shape)},
                                  std::int64_t{sizeof(shape)} - 7, std::int64_t{1} << 40})
    expect_refused<field>(data, 0, static_cast<std::uint64_t>(word));
  // It is one, but of another class.
  EXPECT_THROW(sent<field>(static_cast<field>(&tall::extra)), serialization_error);
}

TEST(code, any_bytes_are_null_code_or_refused) {
  std::mt19937_64 random(7);
  const auto good = encoded<member>(&shape::area);
  for (int round = 0; round < 20'000; ++round) {
    auto bytes = good;
    for (int k = 0; k < 3; ++k) bytes[random() % bytes.size()] = static_cast<std::byte>(random());
    try {
      static_cast<void>(decoded<member>(bytes));
    } catch (const serialization_error&) {
    }
  }
}

}  // namespace
}  // namespace procpool
