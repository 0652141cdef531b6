// SPDX-License-Identifier: MIT
// A host of plug-ins: loads the one it is given and lets it work. Links a library, too, which
// kinds.sh replaces on disk.
#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string>

#include "procpool/procpool.h"

extern "C" int library_version();

int main(int argc, char** argv) {
  procpool::init(argc, argv);
  const std::string what = argc > 1 ? argv[1] : "";
  try {
    if (what == "replaced") {
      // The library's file becomes another while this program runs.
      if (std::system(argv[2]) != 0) return 2;  // NOLINT(cert-env33-c): kinds.sh gives the command
      const procpool::pool pool(
          {.processes = 1, .start_method = procpool::start_method::forkserver});
      std::puts("not refused");
      return 1;
    }
    void* plugin = ::dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
    if (plugin == nullptr) {
      std::puts(::dlerror());
      return 1;
    }
    const auto work = reinterpret_cast<int (*)(int)>(::dlsym(plugin, "plugin_work"));
    for (int method = 0; method < 3; ++method)
      if (work(method) != 14) return 1;
  } catch (const std::exception& e) {
    std::puts(e.what());
    return 3;
  }
  std::printf("ok %d\n", library_version());
}
