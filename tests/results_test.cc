// SPDX-License-Identifier: MIT
// take_apart: an outcome for each item of a reply, whatever its bytes are, and at a cost that is in
// proportion to them.
#include <gtest/gtest.h>

#include <cstdint>
#include <exception>
#include <string>
#include <vector>

#include "procpool/detail/results.h"
#include "support/samples.h"
#include "vector_writer.h"

namespace procpool::detail {
namespace {

reply reply_of(std::span<const std::byte> bytes, std::uint32_t done) {
  reply r;
  r.count = r.done = done;
  r.bytes = bytes;
  return r;
}

TEST(TakeApart, ItemsWithoutARecordShareOneError) {
  test::vector_writer out;
  const std::size_t at = open_record(out, 2, record_kind::value);
  encode(out, std::string("there"));
  close_record(out, at);
  const std::vector<std::byte> bytes = out.bytes();
  std::vector<outcome<std::string>> all;
  const auto set = [&](std::uint32_t k, outcome<std::string> o) {
    EXPECT_EQ(k, all.size());
    all.push_back(std::move(o));
  };
  EXPECT_EQ(take_apart<std::string>(reply_of(bytes, 5), set), 4u);
  ASSERT_EQ(all.size(), 5u);
  EXPECT_EQ(all[2].value(), "there");
  EXPECT_THROW(all[0].value(), serialization_error);
  for (const int k : {1, 3, 4}) EXPECT_EQ(all[k].error(), all[0].error()) << k;
}

enum class answer : bool { no, yes };

template <class R>
void expect_the_third_ends_it() {
  const std::vector<std::byte> bytes{std::byte{1}, std::byte{0}, std::byte{42}, std::byte{1}};
  std::vector<outcome<R>> all;
  const auto set = [&](std::uint32_t, outcome<R> o) { all.push_back(std::move(o)); };
  EXPECT_EQ(take_apart<R>(reply_of(bytes, 4), set), 2u);
  ASSERT_EQ(all.size(), 4u);
  EXPECT_EQ(all[0].value(), R{true});
  EXPECT_EQ(all[1].value(), R{false});
  EXPECT_THROW(all[2].value(), serialization_error);
  EXPECT_THROW(all[3].value(), serialization_error);
}

TEST(TakeApart, ABoolThatIsNeitherTrueNorFalseIsNotMade) {
  expect_the_third_ends_it<bool>();
  expect_the_third_ends_it<answer>();
}

// Who delivers the last ones holds the call for a moment after its caller has them.
TEST(Many, WhatWasTakenIsNowhereElse) {
  using procpool::testing::tracked;
  many<tracked> call;
  call.extend(1);
  call.set_only(outcome<tracked>(tracked(3)), 0);
  const std::vector<tracked> all = call.take();
  EXPECT_EQ(all.at(0).value, 3);
  EXPECT_EQ(tracked::live(), 1);
}

}  // namespace
}  // namespace procpool::detail
