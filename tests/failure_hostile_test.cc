// SPDX-License-Identifier: MIT
// decode_error on bytes that no worker in its right mind wrote: always some exception, never a read
// past the end (the sanitizers watch), never more memory than the message accounts for.
#include <gtest/gtest.h>

#include <exception>
#include <random>
#include <string>
#include <typeinfo>
#include <vector>

#include "failure_samples.h"
#include "procpool/exception.h"

namespace procpool::test {

struct registered : std::runtime_error {
  registered(const std::string& what, std::vector<std::string> all)
      : std::runtime_error(what), words(std::move(all)) {}
  std::vector<std::string> words;
};
PROCPOOL_EXCEPTION(registered, e.what(), e.words);

namespace {

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
      const remote_info* info = remote_info::of(e);
      EXPECT_TRUE(info == nullptr || info->stack.size() <= 64);
      no = first && typeid(e) == typeid(serialization_error);
    } catch (const std::nested_exception&) {  // alone
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
  const auto error = std::make_exception_ptr(registered("words", {"a", "bc"}));
  const std::vector<detail::place> places{{1, 2}, {0, 3}};
  vector_writer out;
  core::encode_error(out, error, {error, places});
  all.push_back(out.bytes());
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
  for (const auto& whole : samples()) {
    for (std::size_t i = 0; i < whole.size(); ++i) {
      for (const std::byte mask : {std::byte{0x01}, std::byte{0x80}, std::byte{0xff}}) {
        auto damaged = whole;
        damaged[i] ^= mask;
        if (refused(damaged)) ++refusals;
      }
    }
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

}  // namespace
}  // namespace procpool::test
