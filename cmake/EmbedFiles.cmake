# SPDX-License-Identifier: Apache-2.0
# dhub_embed(target FILES ... HEADER h NAMESPACE n FUNCTION f TYPE t LINKS ...): library `target`, in which f() answers
# name and content of each file as a const std::vector<t>&, as the header declares it: one binary is the whole program.
function(dhub_embed target)
  cmake_parse_arguments(ARG "" "HEADER;NAMESPACE;FUNCTION;TYPE" "FILES;LINKS" ${ARGN})
  set(output ${CMAKE_BINARY_DIR}/generated/${ARG_FUNCTION}.cc)
  add_custom_command(
    OUTPUT ${output}
    COMMAND ${CMAKE_COMMAND} -DOUTPUT=${output} "-DFILES=${ARG_FILES}" -DHEADER=${ARG_HEADER} -DNAMESPACE=${ARG_NAMESPACE}
            -DFUNCTION=${ARG_FUNCTION} -DTYPE=${ARG_TYPE} -P ${CMAKE_SOURCE_DIR}/cmake/embed_files.cmake
    DEPENDS ${ARG_FILES} ${CMAKE_SOURCE_DIR}/cmake/embed_files.cmake
    VERBATIM)
  add_library(${target} STATIC ${output})
  target_include_directories(${target} PUBLIC ${CMAKE_SOURCE_DIR}/src)
  target_link_libraries(${target} PUBLIC ${ARG_LINKS})
endfunction()

file(GLOB DHUB_PYTHON_FILES CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/python/dhub/*.py)
dhub_embed(dhub_python FILES ${DHUB_PYTHON_FILES} HEADER backend/local/python_package.h NAMESPACE dhub
           FUNCTION python_package TYPE PythonFile LINKS dhub_base)
file(GLOB DHUB_OPENAPI_FILES CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/api/openapi/*.json)
dhub_embed(dhub_openapi FILES ${DHUB_OPENAPI_FILES} HEADER api/openapi.h NAMESPACE dhub::api FUNCTION openapi_parts
           TYPE OpenapiPart LINKS dhub_service)
