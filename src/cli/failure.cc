// SPDX-License-Identifier: Apache-2.0
#include "cli/failure.h"

#include <fmt/format.h>

#include "cli/text.h"

namespace dhub::cli {

std::string render(const Failure& failure) {
  std::string out = "error: " + printable(failure.title);
  if (!failure.detail.empty()) out += ": " + printable(failure.detail);
  out += '\n';
  for (const FieldError& field : failure.fields)
    out += fmt::format("  {}: {}\n", field.pointer.empty() ? "(the whole body)" : printable(field.pointer),
                       printable(field.detail));
  if (!failure.next.empty()) out += fmt::format("try: {}\n", printable(failure.next));
  return out;
}

}  // namespace dhub::cli
