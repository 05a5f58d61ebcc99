// SPDX-License-Identifier: Apache-2.0
#include "pipeline/definition.h"

#include <boost/json.hpp>
#include <fmt/format.h>

#include "base/utf8.h"
#include "pipeline/findings.h"
#include "pipeline/json.h"
#include "pipeline/object_reader.h"
#include "pipeline/options.h"
#include "pipeline/steps.h"

namespace dhub::pipeline {
namespace {

bool is_plain_text(std::string_view text) {
  while (!text.empty()) {
    const CodePoint next = take_code_point(text);
    if (!next.valid || is_control(next.value)) return false;
  }
  return true;
}

void check_name(const std::string& name, Findings& findings) {
  if (name.find_first_not_of(" \t\r\n") == std::string::npos)
    findings.invalid("/name", "is required");
  else if (name.size() > kLongestPipelineName)
    findings.invalid("/name", fmt::format("must not be longer than {} bytes", kLongestPipelineName));
  else if (!is_plain_text(name))
    findings.invalid("/name", "must be text without control characters");
}

}  // namespace

Result<Definition> parse_definition(const std::string& id, const std::string& name, const std::string& steps_json,
                                    const std::string& options_json) {
  Findings findings;
  Definition definition;
  definition.id = id;
  definition.name = name;
  if (const Status valid = validate_pipeline_id(id); !valid) findings.invalid("/id", valid.error());
  check_name(name, findings);
  if (const auto options = parse_json(options_json); !options)
    findings.invalid("/options", options.error());
  else if (const auto reader = ObjectReader::of(*options, "/options", findings))
    definition.options = read_options(*reader, findings);
  if (const auto steps = parse_json(steps_json); !steps)
    findings.invalid("/steps", steps.error());
  else
    definition.steps = read_steps(*steps, findings);
  RETURN_IF_ERROR(findings.status());
  return definition;
}

Status validate_metadata(const std::string& metadata_json) {
  Findings findings;
  if (metadata_json.size() > kLongestMetadata)
    findings.invalid("/metadata", fmt::format("must not be longer than {}", size_to_string(kLongestMetadata)));
  else if (const auto metadata = parse_json(metadata_json); !metadata)
    findings.invalid("/metadata", metadata.error());
  else
    ObjectReader::of(*metadata, "/metadata", findings);
  return findings.status();
}

}  // namespace dhub::pipeline
