// SPDX-License-Identifier: Apache-2.0
// A pipeline's definition: id, name and steps a line each, then the options. Every refusal says why, and where.
#include "pipeline/definition.h"

#include "base/check.h"
#include "fuzz/input.h"

namespace {

void check_errors(const dhub::Error& error) {
  CHECK(!error.message.empty());
  CHECK(error.fields.size() <= 100);
  for (const auto& field : error.fields) {
    CHECK(field.pointer.empty() || field.pointer.front() == '/');
    CHECK(!field.detail.empty());
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  auto text = dhub::fuzz::text_of(data, size);
  const std::string id(dhub::fuzz::take_until(text, '\n'));
  const std::string name(dhub::fuzz::take_until(text, '\n'));
  const std::string steps(dhub::fuzz::take_until(text, '\n'));
  const std::string options(text);
  const auto definition = dhub::pipeline::parse_definition(id, name, steps, options);
  if (!definition) check_errors(definition.error());
  if (const auto metadata = dhub::pipeline::validate_metadata(options); !metadata) check_errors(metadata.error());
  return 0;
}
