// SPDX-License-Identifier: Apache-2.0
#include "model/pipeline.h"

namespace dhub {

Status validate_pipeline_id(std::string_view id) {
  const auto is_alnum = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  bool good = !id.empty() && id.size() <= 63 && is_alnum(id.front()) && is_alnum(id.back());
  for (const char c : id) good = good && (is_alnum(c) || c == '-');
  if (!good)
    return fail(
        ErrorCode::InvalidArgument,
        "A pipeline id has 1 to 63 characters of a-z, 0-9 and '-', and begins and ends with a letter or digit.");
  if (id == "validate" || id == "test")
    return fail(ErrorCode::InvalidArgument, "This pipeline id is reserved; choose another.");
  return {};
}

}  // namespace dhub
