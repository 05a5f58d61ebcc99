# SPDX-License-Identifier: Apache-2.0
# dhub_python: the files of python/dhub as bytes, so that one binary is the whole program (declared in
# src/backend/local/python_package.h).
file(GLOB DHUB_PYTHON_FILES CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/python/dhub/*.py)
set(DHUB_PYTHON_CC ${CMAKE_BINARY_DIR}/generated/python_package.cc)
add_custom_command(
  OUTPUT ${DHUB_PYTHON_CC}
  COMMAND ${CMAKE_COMMAND} -DOUTPUT=${DHUB_PYTHON_CC} "-DFILES=${DHUB_PYTHON_FILES}" -P ${CMAKE_SOURCE_DIR}/cmake/embed_files.cmake
  DEPENDS ${DHUB_PYTHON_FILES} ${CMAKE_SOURCE_DIR}/cmake/embed_files.cmake
  VERBATIM)
add_library(dhub_python STATIC ${DHUB_PYTHON_CC})
target_include_directories(dhub_python PUBLIC ${CMAKE_SOURCE_DIR}/src)
target_link_libraries(dhub_python PUBLIC dhub_base)
