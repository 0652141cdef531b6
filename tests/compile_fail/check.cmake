# SPDX-License-Identifier: MIT
# cmake "-DCOMPILE=compiler;its;flags" -DSOURCE=... -P check.cmake
# The program compiles when it has no `// EXPECT: regex` line; else it must not, and the first error
# the compiler prints must match.
file(STRINGS ${SOURCE} expect REGEX "^// EXPECT: ")
string(REPLACE "// EXPECT: " "" expect "${expect}")

execute_process(
  COMMAND ${COMPILE} -fsyntax-only ${SOURCE}
  RESULT_VARIABLE status
  OUTPUT_VARIABLE output
  ERROR_VARIABLE output)

if(expect STREQUAL "")
  if(NOT status EQUAL 0)
    message(FATAL_ERROR "it must compile:\n${output}")
  endif()
  return()
endif()
if(status EQUAL 0)
  message(FATAL_ERROR "it compiles, and must not")
endif()
if(NOT output MATCHES "error: [^\n]*")
  message(FATAL_ERROR "the compiler failed without an error:\n${output}")
endif()
set(first "${CMAKE_MATCH_0}")
if(NOT first MATCHES "${expect}")
  message(FATAL_ERROR "expected: ${expect}\nfirst error: ${first}\n${output}")
endif()
# Where the sentence is ours it is all that went wrong: nothing stumbles over the refusal.
if(expect MATCHES "^procpool: ")
  string(REPLACE ";" "," text "${output}")  # a list would be cut there
  string(REGEX MATCHALL "error: [^\n]*" errors "${text}")
  list(LENGTH errors count)
  if(count GREATER 1)
    message(FATAL_ERROR "${count} errors where one is enough:\n${output}")
  endif()
endif()
message("${first}")
