// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "cli/documents.h"

namespace dhub::cli {

// The YAML half of parse_documents, with its rules and bounds. `text` must be UTF-8 without NULs.
[[nodiscard]] Result<std::vector<Document>> parse_yaml(std::string_view text, const std::string& name);

}  // namespace dhub::cli
