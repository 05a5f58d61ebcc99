# SPDX-License-Identifier: Apache-2.0
# Rdkafka::rdkafka: the static library that tools/setup-librdkafka built, with all that it needs. -DDHUB_RDKAFKA_ROOT=
# names another folder with lib/ and include/, or `system`: the distribution's, which may be older than what the
# documents promise. Why there are two: docs/adr/0007-librdkafka-from-the-next-debian.md.
set(rdkafka_cache "$ENV{XDG_CACHE_HOME}")
if(NOT rdkafka_cache)
  set(rdkafka_cache "$ENV{HOME}/.cache")
endif()
# A build folder that was configured with a former recipe's result takes today's.
string(FIND "${DHUB_RDKAFKA_ROOT}" "${rdkafka_cache}/dhub/librdkafka-" rdkafka_former)
if(rdkafka_former EQUAL 0)
  unset(DHUB_RDKAFKA_ROOT CACHE)
endif()
set(DHUB_RDKAFKA_ROOT "${rdkafka_cache}/dhub/librdkafka-2.8.0-5" CACHE STRING "Folder of librdkafka, or `system`")

if(DHUB_RDKAFKA_ROOT STREQUAL "system")
  find_package(PkgConfig REQUIRED)
  pkg_check_modules(RDKAFKA_SYSTEM REQUIRED IMPORTED_TARGET rdkafka>=2.0.2)
  set(rdkafka_target PkgConfig::RDKAFKA_SYSTEM)
  set(Rdkafka_VERSION ${RDKAFKA_SYSTEM_VERSION})
else()
  set(rdkafka_library "${DHUB_RDKAFKA_ROOT}/lib/librdkafka.a")
  set(rdkafka_include "${DHUB_RDKAFKA_ROOT}/include")
  if(NOT EXISTS "${rdkafka_library}" OR NOT EXISTS "${rdkafka_include}/librdkafka/rdkafka.h")
    message(FATAL_ERROR "librdkafka is not in ${DHUB_RDKAFKA_ROOT}: run tools/setup, or name a folder with "
                        "-DDHUB_RDKAFKA_ROOT=..., or the distribution's with -DDHUB_RDKAFKA_ROOT=system")
  endif()
  find_package(Threads REQUIRED)
  find_package(OpenSSL REQUIRED)
  find_package(CURL REQUIRED)
  find_package(ZLIB REQUIRED)
  find_library(RDKAFKA_ZSTD zstd REQUIRED)
  find_library(RDKAFKA_LZ4 lz4 REQUIRED)
  mark_as_advanced(RDKAFKA_ZSTD RDKAFKA_LZ4)
  set(rdkafka_target rdkafka_static)
  if(NOT TARGET rdkafka_static)
    # Includes of an imported target count as the system's: our warnings do not apply to them.
    add_library(rdkafka_static STATIC IMPORTED)
    set_target_properties(rdkafka_static PROPERTIES
      IMPORTED_LOCATION "${rdkafka_library}" INTERFACE_INCLUDE_DIRECTORIES "${rdkafka_include}")
    target_link_libraries(rdkafka_static INTERFACE OpenSSL::SSL OpenSSL::Crypto CURL::libcurl ZLIB::ZLIB
                          ${RDKAFKA_ZSTD} ${RDKAFKA_LZ4} Threads::Threads ${CMAKE_DL_LIBS} m)
  endif()
  file(STRINGS "${rdkafka_include}/librdkafka/rdkafka.h" rdkafka_define REGEX "^#define RD_KAFKA_VERSION +0x[0-9a-f]+")
  string(REGEX MATCH "0x(..)(..)(..)" rdkafka_hex "${rdkafka_define}")
  math(EXPR rdkafka_major "0x${CMAKE_MATCH_1}")
  math(EXPR rdkafka_minor "0x${CMAKE_MATCH_2}")
  math(EXPR rdkafka_patch "0x${CMAKE_MATCH_3}")
  set(Rdkafka_VERSION "${rdkafka_major}.${rdkafka_minor}.${rdkafka_patch}")
endif()
if(NOT TARGET Rdkafka::rdkafka)
  add_library(Rdkafka::rdkafka INTERFACE IMPORTED)
  target_link_libraries(Rdkafka::rdkafka INTERFACE ${rdkafka_target})
endif()

# A library that cannot be linked is found out now, not after minutes of building; asked again when the folder changes.
if(NOT RDKAFKA_LINKED_ROOT STREQUAL DHUB_RDKAFKA_ROOT)
  unset(RDKAFKA_LINKS CACHE)
  set(RDKAFKA_LINKED_ROOT "${DHUB_RDKAFKA_ROOT}" CACHE INTERNAL "")
endif()
include(CheckCXXSourceCompiles)
set(CMAKE_REQUIRED_LIBRARIES Rdkafka::rdkafka)
check_cxx_source_compiles("#include <librdkafka/rdkafka.h>
int main() { return rd_kafka_version() >= 0x020002ff ? 0 : 1; }" RDKAFKA_LINKS)
unset(CMAKE_REQUIRED_LIBRARIES)

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(Rdkafka REQUIRED_VARS DHUB_RDKAFKA_ROOT RDKAFKA_LINKS VERSION_VAR Rdkafka_VERSION)
