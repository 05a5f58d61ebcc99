// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "base/result.h"
#include "model/pipeline.h"

namespace dhub::pipeline {

constexpr std::size_t kLongestPipelineName = 256;
constexpr std::size_t kLongestMetadata = 64ULL << 10;

// What a user wrote, checked as a whole: every error is collected, each with its pointer ("/options/retry/jitter"),
// at most 100. InvalidArgument, or Unsupported when all that is wrong is known but not served in this release. Pure;
// hostile JSON is refused, not recursed into.
[[nodiscard]] Result<Definition> parse_definition(const std::string& id, const std::string& name,
                                                  const std::string& steps_json, const std::string& options_json);

// An object of the user's own, at most kLongestMetadata. InvalidArgument with the pointer /metadata.
[[nodiscard]] Status validate_metadata(const std::string& metadata_json);

}  // namespace dhub::pipeline
