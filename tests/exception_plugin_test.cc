// SPDX-License-Identifier: MIT
// Exception types that come and go with a library.
#include <dlfcn.h>
#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "core/exception_registry.h"
#include "failure_samples.h"
#include "procpool/procpool.h"
#include "support/plugin_error.h"

namespace procpool::testing {

namespace {

struct local_error {
  int of_the_program;
};

}  // namespace

PROCPOOL_EXCEPTION(local_error, e.of_the_program);

namespace {

class plugin {
 public:
  plugin() {
    const auto file = std::filesystem::read_symlink("/proc/self/exe").parent_path() / "thrower.so";
    handle_ = ::dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (handle_ == nullptr) throw std::runtime_error(::dlerror());
  }
  plugin(const plugin&) = delete;
  ~plugin() { ::dlclose(handle_); }
  [[nodiscard]] const std::type_info& local_type() const {
    return *reinterpret_cast<decltype(procpool_test_local_type)*>(
        ::dlsym(handle_, "procpool_test_local_type"))();
  }

 private:
  void* handle_;
};

int throw_plugin_error(int n) { throw plugin_error("words", n); }

/// How a plugin_error comes back from a pool made now.
template <class E>
bool comes_back_as() {
  pool p(1);
  try {
    p.apply(throw_plugin_error, 7);
  } catch (const plugin_error& e) {
    return std::is_same_v<E, plugin_error> && e.code == 7;
  } catch (const std::runtime_error& e) {
    return std::is_same_v<E, std::runtime_error> && std::string(e.what()) == "words";
  }
  return false;
}

TEST(ExceptionPlugin, TypesAreKnownWhileItIsLoaded) {
  for (int round = 0; round < 3; ++round) {
    EXPECT_TRUE(comes_back_as<std::runtime_error>());
    {
      const plugin loaded;
      EXPECT_TRUE(comes_back_as<plugin_error>());
    }
    EXPECT_TRUE(comes_back_as<std::runtime_error>());
  }
}

TEST(ExceptionPlugin, TypesOfOneNameAreToldApart) {
  const plugin loaded;
  const std::type_info& here = typeid(local_error);
  const std::type_info& there = loaded.local_type();
  ASSERT_STREQ(here.name(), there.name());
  for (const std::type_info* type : {&here, &there}) {
    const auto* known = core::find_registered(*type);
    ASSERT_NE(known, nullptr);
    EXPECT_EQ(known->type, type);
    EXPECT_EQ(core::find_registered(core::key_of(*type)), known);
  }
}

TEST(ExceptionPlugin, MayComeAndGoWhileOthersLook) {
  std::atomic<bool> over{false};
  std::vector<std::thread> lookers;
  for (int i = 0; i < 2; ++i)
    lookers.emplace_back([&over] {
      while (!over)
        test::expect<local_error>(test::there_and_back(std::make_exception_ptr(local_error{3})),
                                  [](const local_error& e) { EXPECT_EQ(e.of_the_program, 3); });
    });
  for (int i = 0; i < 200; ++i) const plugin loaded;
  over = true;
  for (auto& t : lookers) t.join();
}

}  // namespace
}  // namespace procpool::testing
