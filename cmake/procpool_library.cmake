# SPDX-License-Identifier: MIT
# How a variant of the library is made: `procpool` itself, and the instrumented one for the tests.

# The warnings g++ and clang++ are both held to. PRIVATE: a user's flags are none of our business.
function(procpool_warnings target)
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wshadow -Wpedantic
    $<$<BOOL:${PROCPOOL_WERROR}>:-Werror>)
endfunction()

function(procpool_add_library target)
  add_library(${target} ${ARGN})
  target_compile_features(${target} PUBLIC cxx_std_20)
  target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR}/src)
  target_link_libraries(${target} PUBLIC cereal::cereal Threads::Threads)
  # PIC in the static library too, so that it can end up in somebody's plugin.
  set_target_properties(${target} PROPERTIES CXX_EXTENSIONS OFF POSITION_INDEPENDENT_CODE ON)
  # What the zygote and each worker call first would otherwise be looked up in each of them anew;
  # and g++ would inline no function of a file that another file may call, as somebody might put
  # one of the same name in its place.
  target_compile_options(${target} PRIVATE -fno-plt -fno-semantic-interposition)
  procpool_warnings(${target})
endfunction()
