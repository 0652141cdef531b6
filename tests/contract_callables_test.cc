// SPDX-License-Identifier: MIT
// Callables of every kind, and state that is sent once: bind, by_bytes, snapshot_map, function
// pointers as values. pool.share stands in contract_share_test.cc.
#include <cmath>
#include <cstdlib>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "support/methods.h"
#include "support/tasks.h"

namespace procpool::testing {
namespace {

class callables : public pool_test {};
PROCPOOL_EVERY_METHOD(callables);

using doubles = std::vector<double>;

// ---- bind ---------------------------------------------------------------------------------------

std::string named(const std::map<int, std::string>& names, int i) { return names.at(i); }

TEST_P(callables, bind_gives_a_map_its_state) {
  pool p(with());
  const std::map<int, std::string> names{{0, "zero"}, {1, "one"}, {2, "two"}};
  EXPECT_EQ(p.map(procpool::bind(named, names), ints{2, 0, 1}),
            (std::vector<std::string>{"two", "zero", "one"}));
}

TEST_P(callables, bind_gives_spans_and_text_as_views) {
  pool p(with());
  const doubles table{1, 2, 4};
  const auto f = [](std::span<const double> t, std::string_view s, int i) {
    return std::string(s) + std::to_string(static_cast<int>(t[static_cast<std::size_t>(i)]));
  };
  const std::vector<std::string> expected{"x1", "x2", "x4"};
  EXPECT_EQ(p.map(procpool::bind(f, table, std::string("x")), first(3)), expected);
  EXPECT_EQ(p.map(procpool::bind(f, std::span(table), "x"), first(3)), expected);
}
TEST_P(callables, bind_share_smoke) {
  pool p(with());
  auto t = p.share(doubles{1, 2, 4});
  auto m = p.share(std::map<int, int>{{1, 7}});
  EXPECT_EQ(p.map([t, m](int i) { return (*t)[static_cast<std::size_t>(i)] + m->at(1); }, first(3)),
            (doubles{8, 9, 11}));
  p.unshare(t);
  EXPECT_THROW(p.apply([t] { return t->size(); }), error);
  EXPECT_EQ(p.apply([m] { return m->size(); }), 1u);
}

}  // namespace
}  // namespace procpool::testing
