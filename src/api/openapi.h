// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "api/route_table.h"

namespace dhub::api {

// The description of the interface in OpenAPI 3.1: paths, methods, parameters, roles and what every operation can
// refuse come from the routes, meaning, shapes and examples from the files in src/api/openapi.
[[nodiscard]] std::string openapi_document(std::span<const Route> routes, std::string_view version);

// One of those files; part of the binary.
struct OpenapiPart {
  std::string_view name;
  std::string_view content;
};
[[nodiscard]] const std::vector<OpenapiPart>& openapi_parts();

}  // namespace dhub::api
