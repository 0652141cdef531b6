# SPDX-License-Identifier: MIT
# What `cmake --install` puts where: headers, library, CMake package, pkg-config file. All relocatable.
include(CMakePackageConfigHelpers)

set(procpool_cmake_dir ${CMAKE_INSTALL_LIBDIR}/cmake/procpool)

install(TARGETS procpool EXPORT procpool-targets
  FILE_SET HEADERS DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
  LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(EXPORT procpool-targets NAMESPACE procpool:: DESTINATION ${procpool_cmake_dir})

configure_package_config_file(
  ${PROJECT_SOURCE_DIR}/cmake/procpool-config.cmake.in
  ${PROJECT_BINARY_DIR}/cmake/procpool-config.cmake
  INSTALL_DESTINATION ${procpool_cmake_dir})
# 0.x: a minor version may break callers.
write_basic_package_version_file(
  ${PROJECT_BINARY_DIR}/cmake/procpool-config-version.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES
  ${PROJECT_BINARY_DIR}/cmake/procpool-config.cmake
  ${PROJECT_BINARY_DIR}/cmake/procpool-config-version.cmake
  DESTINATION ${procpool_cmake_dir})

# The prefix is written relative to the .pc file: `cmake --install --prefix` may still move everything.
file(RELATIVE_PATH procpool_pc_prefix
  ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
string(REGEX REPLACE "/$" "" procpool_pc_prefix "${procpool_pc_prefix}")
configure_file(cmake/procpool.pc.in cmake/procpool.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/cmake/procpool.pc
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
install(FILES ${PROJECT_SOURCE_DIR}/LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})
