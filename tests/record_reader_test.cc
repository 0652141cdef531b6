// SPDX-License-Identifier: MIT
// record_reader: a reply's fixed part and records, well formed and not.
#include <gtest/gtest.h>

#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "procpool/detail/batch.h"
#include "vector_writer.h"

namespace procpool::detail {
namespace {

using test::vector_writer;

void put_record(writer& out, std::uint32_t k, record_kind kind, const std::string& payload) {
  const std::size_t at = open_record(out, k, kind);
  out.raw(payload.data(), payload.size());
  close_record(out, at);
}

reply reply_of(const std::vector<std::byte>& bytes, std::uint32_t count, std::uint32_t done) {
  reply r;
  r.count = count;
  r.done = done;
  r.bytes = bytes;
  return r;
}

struct seen {
  std::uint32_t index;
  record_kind kind;
  std::string payload;
  bool operator==(const seen&) const = default;
};

std::vector<seen> read_all(const reply& r, std::size_t stride) {
  record_reader in(r, stride);
  std::vector<seen> all;
  record_reader::record record{};
  while (in.next(record))
    all.push_back({record.index,
                   record.kind,
                   {reinterpret_cast<const char*>(record.bytes.data()), record.bytes.size()}});
  return all;
}

TEST(RecordReader, FixedPartAlone) {
  vector_writer out;
  for (std::uint32_t value : {7U, 8U, 9U}) out.raw(&value, sizeof value);
  const auto bytes = out.bytes();
  record_reader in(reply_of(bytes, 3, 3), 4);
  EXPECT_EQ(in.fixed(), bytes.data());
  record_reader::record record{};
  EXPECT_FALSE(in.next(record));
  EXPECT_FALSE(in.next(record));
}

TEST(RecordReader, RecordsInOrderBehindAnUnevenFixedPart) {
  vector_writer out;
  out.raw("abcde", 5);
  put_record(out, 1, record_kind::error, "boom");
  put_record(out, 2, record_kind::value, "");
  put_record(out, 4, record_kind::value, std::string(100, 'x'));
  const auto bytes = out.bytes();
  const std::vector<seen> expected{{1, record_kind::error, "boom"},
                                   {2, record_kind::value, ""},
                                   {4, record_kind::value, std::string(100, 'x')}};
  EXPECT_EQ(read_all(reply_of(bytes, 5, 5), 1), expected);
}

TEST(RecordReader, RecordsAloneAreAligned) {
  vector_writer out;
  put_record(out, 0, record_kind::value, "odd");
  put_record(out, 1, record_kind::value, "even");
  const auto bytes = out.bytes();
  record_reader in(reply_of(bytes, 2, 2), 0);
  record_reader::record record{};
  while (in.next(record)) EXPECT_EQ((record.bytes.data() - bytes.data()) % 16, 0);
}

TEST(RecordReader, NoItemDoneNeedsNoBytes) {
  const std::vector<std::byte> none;
  EXPECT_TRUE(read_all(reply_of(none, 1000, 0), 8).empty());
  const std::vector<std::byte> half(10, std::byte{0xff});
  EXPECT_TRUE(read_all(reply_of(half, 1000, 0), 8).empty());
}

TEST(RecordReader, ShortFixedPartIsRefused) {
  const std::vector<std::byte> bytes(31);
  EXPECT_THROW(record_reader(reply_of(bytes, 4, 1), 8), serialization_error);
  EXPECT_NO_THROW(record_reader(reply_of(bytes, 3, 3), 8));
}

TEST(RecordReader, FixedPartThatOverflowsIsRefused) {
  const std::vector<std::byte> bytes(16);
  const std::size_t stride = std::numeric_limits<std::size_t>::max() / 4 + 1;  // × 4 is 0
  EXPECT_THROW(record_reader(reply_of(bytes, 4, 4), stride), serialization_error);
}

TEST(RecordReader, MoreDoneThanCountIsRefused) {
  const std::vector<std::byte> bytes(64);
  EXPECT_THROW(record_reader(reply_of(bytes, 4, 5), 4), serialization_error);
}

struct bad_record {
  const char* what;
  std::uint32_t index;
  std::uint32_t kind;
  std::uint64_t size;
};

class BadRecord : public testing::TestWithParam<bad_record> {};

TEST_P(BadRecord, IsRefusedAfterTheGoodOnes) {
  vector_writer out;
  put_record(out, 1, record_kind::value, "good");
  const std::size_t at = out.size();
  put_record(out, 2, record_kind::value, "bad");
  record_header header{GetParam().index, record_kind::value, GetParam().size};
  std::memcpy(out.data() + at, &header, sizeof header);
  std::memcpy(out.data() + at + offsetof(record_header, kind), &GetParam().kind, 4);
  const auto bytes = out.bytes();
  record_reader in(reply_of(bytes, 4, 3), 0);
  record_reader::record record{};
  ASSERT_TRUE(in.next(record));
  EXPECT_EQ(record.index, 1U);
  EXPECT_THROW(in.next(record), serialization_error);
}

INSTANTIATE_TEST_SUITE_P(Each, BadRecord,
                         testing::Values(bad_record{"twice", 1, 0, 3},
                                         bad_record{"before", 0, 0, 3},
                                         bad_record{"not_sent", 4, 0, 3},
                                         bad_record{"far", 0xffffffff, 0, 3},
                                         bad_record{"kind", 2, 2, 3}, bad_record{"size", 2, 0, 17},
                                         bad_record{"huge", 2, 0, ~std::uint64_t{0}}),
                         [](const auto& each) { return std::string(each.param.what); });

// A worker may die after it wrote an item's record and before it said that the item is done.
TEST(RecordReader, RecordOfTheFirstItemThatIsNotDoneIsTheEnd) {
  vector_writer out;
  put_record(out, 1, record_kind::value, "good");
  put_record(out, 3, record_kind::value, "not done");
  const auto bytes = out.bytes();
  record_reader in(reply_of(bytes, 4, 3), 0);
  record_reader::record record{};
  ASSERT_TRUE(in.next(record));
  EXPECT_FALSE(in.next(record));
}

// Every end and every flipped byte: either the records are refused, or they obey the rules.
TEST(RecordReader, DamageNeverLeadsOutOfTheReply) {
  vector_writer out;
  out.raw("abcdefgh", 8);
  put_record(out, 0, record_kind::value, "first");
  put_record(out, 3, record_kind::error, "second, which is longer");
  const auto whole = out.bytes();
  std::size_t refused = 0;
  const auto check = [&](const std::vector<std::byte>& bytes) {
    try {
      std::int64_t last = -1;
      for (const seen& s : read_all(reply_of(bytes, 4, 4), 2)) {
        EXPECT_GT(s.index, last);
        EXPECT_LT(s.index, 4U);
        last = s.index;
      }
    } catch (const serialization_error&) {
      ++refused;
    }
  };
  for (std::size_t n = 0; n < whole.size(); ++n)
    check({whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(n)});
  for (std::size_t i = 0; i < whole.size(); ++i) {
    for (int bit = 0; bit < 8; ++bit) {
      auto damaged = whole;
      damaged[i] ^= std::byte{1} << bit;
      check(damaged);
    }
  }
  EXPECT_GT(refused, 0U);
}

}  // namespace
}  // namespace procpool::detail
