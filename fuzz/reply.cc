// SPDX-License-Identifier: MIT
// A worker's reply, taken apart as results of several types: whatever its bytes say, each item that
// is done gets one outcome, in order, and nothing beyond the bytes is read.
#include <array>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <type_traits>
#include <vector>

#include "errors.h"
#include "input.h"
#include "procpool/detail/results.h"
#include "samples.h"

namespace procpool::fuzz {
namespace {

template <class R>
void look_at_value(const outcome<R>& o) {
  if constexpr (!std::is_void_v<R>) {
    detail::vector_writer out;
    detail::encode(out, *o);
    look(out.take());
  }
}

/// How many are errors.
template <class R>
std::size_t take_apart(const detail::reply& r) {
  std::uint32_t next = r.from;
  std::size_t errors = 0;
  std::exception_ptr last;
  const auto set = [&](std::uint32_t k, const outcome<R>& o) {
    require(k == next++, "outcomes come in order, one for each item");
    if (o) return look_at_value(o);
    ++errors;
    if (o.error() != last) look_at(o.error(), r.bytes.size());
    last = o.error();
  };
  const std::size_t failed = detail::take_apart<R>(r, set);
  require(next == r.done, "each item that is done has an outcome");
  require(failed == errors, "errors are counted");
  return failed;
}

/// The same by way of a map's results, which need not go item by item.
template <class R>
void deliver(const detail::reply& r, std::size_t failed) {
  detail::many<R> results;
  results.extend(r.first + r.done);
  results.fail(0, r.first, std::make_exception_ptr(task_cancelled()));
  require(results.deliver(r) == failed, "a map's results are those of its items");
  std::vector<outcome<R>> all = results.take_outcomes();
  require(all.size() == r.first + r.done, "a map has a result for each item");
  for (std::size_t i = r.first; i < all.size(); ++i)
    if (all[i]) look_at_value(all[i]);
}

/// What is left of it, as calls of their own, when some items have been told before.
template <class R>
void deliver_rest(detail::reply r) {
  r.from = r.done / 2;
  const std::size_t failed = take_apart<R>(r);
  std::vector<std::shared_ptr<detail::batch>> calls;
  for (std::uint32_t k = r.from; k < r.done; ++k)
    calls.push_back(std::make_shared<detail::single<R>>());
  require(calls.front()->deliver_each(calls, r) == failed, "each call has its item's outcome");
  std::size_t errors = 0;
  for (const auto& call : calls) errors += static_cast<detail::single<R>&>(*call).failed() ? 1 : 0;
  require(errors == failed, "each call knows whether it failed");
}

template <class R>
void run(const detail::reply& r) {
  const std::size_t failed = take_apart<R>(r);
  if (r.done != 0) deliver_rest<R>(r);
  if (r.done != 0) deliver<R>(r, failed);  // an answer without any is delivered to nobody
  if (r.done != 1) return;
  detail::single<R> result;
  require(result.deliver(r) == failed, "a result is that of its item");
  require(result.failed() == (failed != 0), "a result knows that it failed");
}

template <class... R>
constexpr std::array<void (*)(const detail::reply&), 1 + sizeof...(R)> runs(types<R...>) {
  return {&run<void>, &run<R>...};
}

}  // namespace
}  // namespace procpool::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace procpool::fuzz;
  constexpr auto all = runs(returned{});
  input in(data, size);
  const auto run = all[in.below(all.size())];
  procpool::detail::reply r;
  r.first = in.below(16);
  r.pid = 4321;
  r.done = in.number<std::uint8_t>();
  r.count = in.number<std::uint32_t>();
  const auto bytes = in.rest();
  r.bytes = bytes;
  run(r);
  return 0;
}
