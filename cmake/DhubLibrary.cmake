# SPDX-License-Identifier: Apache-2.0
# dhub_library(name folder LINKS ... [TEST_LINKS ...]): library dhub_<name> from folder/*.cc, and test program
# <name>_test from folder/*_test.cc when there are any, which may link more. A folder without sources becomes a
# header-only library.
function(dhub_library name folder)
  cmake_parse_arguments(ARG "" "" "LINKS;TEST_LINKS" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${folder}/*.cc)
  set(tests ${sources})
  list(FILTER sources EXCLUDE REGEX "_test\\.cc$")
  list(FILTER tests INCLUDE REGEX "_test\\.cc$")
  if(sources)
    add_library(dhub_${name} STATIC ${sources})
    target_include_directories(dhub_${name} PUBLIC ${CMAKE_SOURCE_DIR}/src)
    target_link_libraries(dhub_${name} PUBLIC ${ARG_LINKS})
  else()
    add_library(dhub_${name} INTERFACE)
    target_include_directories(dhub_${name} INTERFACE ${CMAKE_SOURCE_DIR}/src)
    target_link_libraries(dhub_${name} INTERFACE ${ARG_LINKS})
  endif()
  if(tests)
    add_executable(${name}_test ${tests})
    target_link_libraries(${name}_test PRIVATE dhub_${name} ${ARG_TEST_LINKS} GTest::gtest GTest::gmock GTest::gtest_main
                          ${RAPIDCHECK_LIBRARY})
    target_include_directories(${name}_test PRIVATE ${RAPIDCHECK_INCLUDE})
    target_compile_definitions(${name}_test PRIVATE DHUB_SOURCE_DIR="${CMAKE_SOURCE_DIR}" DHUB_BINARY="${CMAKE_BINARY_DIR}/dhub")
    add_test(NAME ${name} COMMAND ${name}_test)
  endif()
endfunction()
