// SPDX-License-Identifier: MIT
// How long withdrawn values stay, held against a plain model; and what is read in a worker when
// names and records are not what they should be.
#include "core/publications.h"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <stdexcept>
#include <vector>

#include "core/publish.h"
#include "core/record.h"
#include "core/shared_values.h"
#include "fake_backend.h"
#include "procpool/error.h"

namespace procpool::core {
namespace {

using detail::published_name;

class counted final : public detail::published {
 public:
  counted(std::uint64_t id, std::set<std::uint64_t>& all) : published({id, id * 64}), all_(all) {
    all_.insert(id);
  }
  counted(const counted&) = delete;
  counted& operator=(const counted&) = delete;
  ~counted() override { all_.erase(name().id); }

 private:
  std::set<std::uint64_t>& all_;
};

class publications_test : public ::testing::Test {
 protected:
  void keep(std::uint64_t id) { all.keep(std::make_shared<counted>(id, living)); }
  bool withdraw(std::uint64_t id) { return all.withdraw({id, id * 64}); }

  std::set<std::uint64_t> living;
  publications all;
};

TEST_F(publications_test, without_parcels_a_withdrawn_value_goes_at_once) {
  keep(1);
  EXPECT_TRUE(living.contains(1));
  EXPECT_TRUE(withdraw(1));
  EXPECT_FALSE(living.contains(1));
  EXPECT_FALSE(withdraw(1));
}

TEST_F(publications_test, only_the_name_that_was_given_withdraws) {
  keep(1);
  EXPECT_FALSE(all.withdraw({1, 0}));
  EXPECT_FALSE(all.withdraw({2, 64}));
  EXPECT_TRUE(living.contains(1));
}

TEST_F(publications_test, a_value_waits_for_the_parcels_that_may_know_it_and_no_others) {
  const auto before = all.joined();
  keep(1);
  const auto first = all.joined();
  keep(2);
  const auto second = all.joined();
  withdraw(1);
  const auto after = all.joined();
  withdraw(2);
  EXPECT_EQ(living.size(), 2u);
  all.left(first);
  EXPECT_TRUE(living.contains(1));  // the second may know it
  all.left(second);
  EXPECT_FALSE(living.contains(1));
  EXPECT_TRUE(living.contains(2));
  all.left(after);
  EXPECT_TRUE(living.empty());
  all.left(before);
}

TEST_F(publications_test, agrees_with_a_model_that_remembers_everything) {
  struct value {
    std::set<int> known_to;  // parcels that live
    bool withdrawn = false;
  };
  for (unsigned seed = 0; seed < 50; ++seed) {
    std::mt19937 random(seed);
    std::set<std::uint64_t> there;
    publications tested;
    std::map<std::uint64_t, value> values;
    std::map<int, std::uint64_t> parcels;  // their epochs
    int next_parcel = 0;
    std::uint64_t next_value = 1;
    const auto pick = [&random](auto& from) {
      return std::next(from.begin(), static_cast<std::ptrdiff_t>(random() % from.size()));
    };
    for (int step = 0; step < 2000; ++step) {
      switch (random() % 4) {
        case 0:
          tested.keep(std::make_shared<counted>(next_value, there));
          values[next_value++];
          break;
        case 1: {
          if (values.empty()) break;
          auto v = pick(values);
          EXPECT_EQ(tested.withdraw({v->first, v->first * 64}), !v->second.withdrawn);
          v->second.withdrawn = true;
          break;
        }
        case 2:
          parcels[next_parcel] = tested.joined();
          for (auto& [id, v] : values)
            if (!v.withdrawn) v.known_to.insert(next_parcel);
          ++next_parcel;
          break;
        default: {
          if (parcels.empty()) break;
          auto p = pick(parcels);
          tested.left(p->second);
          for (auto& [id, v] : values) v.known_to.erase(p->first);
          parcels.erase(p);
        }
      }
      std::erase_if(values,
                    [](const auto& v) { return v.second.withdrawn && v.second.known_to.empty(); });
      std::set<std::uint64_t> expected;
      for (const auto& [id, v] : values) expected.insert(id);
      ASSERT_EQ(there, expected) << "seed " << seed << " step " << step;
    }
  }
}

// ---- in a block ---------------------------------------------------------------------------------

const std::function<bool()> here = [] { return true; };
const std::function<bool()> elsewhere = [] { return false; };

void write_text(detail::writer& out) { out.raw("text", 4); }

TEST(publish, owns_one_block_and_says_when_it_goes) {
  fake_backend backend(1);
  auto value = publish(backend, here, 7, write_text, 9);
  EXPECT_EQ(backend.blocks(), 1u);
  EXPECT_EQ(value->name().id, 7u);
  const auto* head = reinterpret_cast<const record*>(value->name().at);
  EXPECT_EQ(head->id, 7u);
  EXPECT_EQ(head->size, 4u);
  EXPECT_EQ(head->type, 9u);
  value.reset();
  EXPECT_EQ(backend.blocks(), 0u);
  EXPECT_EQ(backend.withdrawals(), 1u);
}

TEST(publish, leaves_nothing_when_writing_throws) {
  fake_backend backend(1);
  EXPECT_THROW(publish(
                   backend, here, 7,
                   [](detail::writer& out) {
                     out.extend(100'000);
                     throw std::runtime_error("no");
                   },
                   9),
               std::runtime_error);
  EXPECT_EQ(backend.blocks(), 0u);
}

TEST(publish, a_forked_copy_takes_nothing_back) {
  fake_backend backend(1);
  auto value = publish(backend, elsewhere, 7, write_text, 9);
  const auto at = value->name().at;
  value.reset();
  EXPECT_EQ(backend.blocks(), 1u);
  EXPECT_EQ(backend.withdrawals(), 0u);
  backend.free({reinterpret_cast<std::byte*>(at), 0});
}

TEST(publish, ids_do_not_come_twice) {
  id_source a;
  id_source b;
  std::set<std::uint64_t> seen{0};
  for (int i = 0; i < 10'000; ++i) {
    EXPECT_TRUE(seen.insert(a.next()).second);
    EXPECT_TRUE(seen.insert(b.next()).second);
  }
}

// ---- in a worker --------------------------------------------------------------------------------

class values_test : public ::testing::Test {
 protected:
  static constexpr std::uint64_t type = 9;
  static constexpr std::size_t at = 128;

  values_test() {
    auto* head = new (&memory[at]) record;
    head->id = 7;
    head->size = 16;
    head->type = type;
    std::memcpy(&memory[at + record_head], "0123456789abcdef", 16);
  }
  record& head() { return *reinterpret_cast<record*>(&memory[at]); }

  alignas(64) std::array<std::byte, 256> memory{};
  std::atomic<std::uint32_t> withdrawn{0};
  shared_values values{withdrawn, [this](std::uint64_t place) {
                         const std::span<const std::byte> all = memory;
                         return place < all.size() ? all.subspan(place)
                                                   : std::span<const std::byte>{};
                       }};
};

TEST_F(values_test, finds_what_is_there_and_nothing_else) {
  const auto bytes = values.find({7, at}, type);
  EXPECT_EQ(bytes.data(), &memory[at + record_head]);
  EXPECT_EQ(bytes.size(), 16u);
  EXPECT_THROW(static_cast<void>(values.find({7, at}, type + 1)), error);
  EXPECT_THROW(static_cast<void>(values.find({8, at}, type)), error);
  EXPECT_THROW(static_cast<void>(values.find({0, 0}, type)), error);
  for (const std::uint64_t place : {at - 8, at + 1, at + 64, std::size_t{200}, std::size_t{256}})
    EXPECT_THROW(static_cast<void>(values.find({7, place}, type)), error) << place;
  EXPECT_THROW(static_cast<void>(values.find({7, ~std::uint64_t{0}}, type)), error);
}

TEST_F(values_test, believes_no_size_that_leaves_the_memory) {
  head().size = 256 - at - record_head;
  EXPECT_EQ(values.find({7, at}, type).size(), 64u);
  ++head().size;
  EXPECT_THROW(static_cast<void>(values.find({7, at}, type)), error);
  head().size = ~std::uint64_t{0};
  EXPECT_THROW(static_cast<void>(values.find({7, at}, type)), error);
}

int made = 0;
std::shared_ptr<const void> make(std::span<const std::byte> bytes) {
  ++made;
  return std::make_shared<std::size_t>(bytes.size());
}

TEST_F(values_test, makes_an_object_once_until_the_value_is_taken_back) {
  made = 0;
  const void* object = values.decode({7, at}, type, make);
  EXPECT_EQ(*static_cast<const std::size_t*>(object), 16u);
  EXPECT_EQ(values.decode({7, at}, type, make), object);
  EXPECT_EQ(made, 1);
  // Another one is taken back: this stays.
  ++withdrawn;
  values.tidy();
  EXPECT_EQ(values.decode({7, at}, type, make), object);
  head().id = 0;
  EXPECT_EQ(values.decode({7, at}, type, make), object);  // a task may still be at it
  ++withdrawn;
  values.tidy();
  EXPECT_THROW(values.decode({7, at}, type, make), error);
}

TEST_F(values_test, an_object_is_not_handed_out_as_another_type) {
  values.decode({7, at}, type, make);
  EXPECT_THROW(values.decode({7, at}, type + 1, make), error);
  EXPECT_THROW(values.decode({7, at + 64}, type, make), error);
}

}  // namespace
}  // namespace procpool::core
