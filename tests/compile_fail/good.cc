// SPDX-License-Identifier: MIT
// Compiles: so that the others are refused for what is wrong in them, not for want of a header.
#include <procpool/procpool.h>

#include <map>
#include <span>
#include <stdexcept>
#include <string>
#include <tuple>
#include <vector>

struct greeter {
  std::string greeting;
  std::string operator()(const std::string& name) const { return greeting + name; }
};
int twice(int x) { return 2 * x; }
double twice(double x) { return 2 * x; }

struct parse_error : std::runtime_error {
  parse_error(const std::string& what, int at) : std::runtime_error(what), line(at) {}
  int line;
};
PROCPOOL_EXCEPTION(parse_error, e.what(), e.line);

namespace user {
struct end_of_input final {};
PROCPOOL_EXCEPTION(end_of_input);
PROCPOOL_EXCEPTION(user::end_of_input);  // twice does no harm
}  // namespace user

int main() {
  procpool::pool pool(1);
  std::vector<int> xs{1};
  std::vector<std::tuple<int, double>> pairs{{1, 2.0}};
  int k = 2;
  pool.map([k](int x) { return x * k; }, xs);
  pool.map(
      {.chunksize = 4}, [](int x) { return x; }, xs);
  pool.apply(greeter{"dear "}, "reader");
  pool.apply([](std::span<const int> s) { return s.size(); }, xs);
  pool.starmap([](int a, double b) { return a + b; }, pairs);
  auto result = pool.apply_async([] {});
  auto results = pool.imap([](int x) { return x; }, xs);
  procpool::pool initialised{{.processes = 1, .initializer = procpool::task([] {})}};

  std::map<std::string, int> table;
  pool.map(procpool::bind([](const auto& t, int x) { return t.size() == 1 ? x : 0; }, table), xs);
  auto shared = pool.share(table);
  pool.map([shared](int) { return shared->size(); }, procpool::indices(9));
  pool.unshare(shared);
  pool.map(procpool::by_bytes([&](int x) { return x * k; }), xs);
  procpool::snapshot_map([&](int x) { return table.size() == 1 ? x : k; }, xs);
  pool.map(PROCPOOL_LIFT(twice), xs);
  pool.apply([](int (*f)(int), int x) { return f(x); }, static_cast<int (*)(int)>(twice), 1);
}
