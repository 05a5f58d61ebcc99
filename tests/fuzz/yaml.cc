// SPDX-License-Identifier: Apache-2.0
// Files that the client reads, YAML or JSON: what to_yaml writes of a document can be read again. Not yet checked: that
// it is the same value. A text with U+0085, written as the escape \N, does not come back, which is a known fault.
#include "base/check.h"
#include "cli/documents.h"
#include "fuzz/input.h"

namespace {

constexpr std::size_t kMostText = 1 << 20;  // aliases grow; parse_documents has bounds of its own

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto documents = dhub::cli::parse_documents(dhub::fuzz::text_of(data, size), "file");
  if (!documents) {
    CHECK(documents.error().message.find("file") == 0);
    return 0;
  }
  for (const auto& document : *documents) {
    const std::string yaml = dhub::cli::to_yaml(document.value);
    if (document.value.is_null() || yaml.size() > kMostText) continue;
    const auto again = dhub::cli::parse_documents(yaml, "again");
    CHECK(again.has_value() && again->size() == 1);
  }
  return 0;
}
