// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace dhub::api {

// The description as a page to read: one file without scripts, so that it works where there is no internet and can do
// nothing. `openapi` is what openapi_document() made.
[[nodiscard]] std::string docs_page(const std::string& openapi);

}  // namespace dhub::api
