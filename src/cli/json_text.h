// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <boost/json/value.hpp>
#include <string>
#include <string_view>

#include "base/result.h"

namespace dhub::cli {

// Malformed with "line:column: ..." when the text is not one JSON value, has a key twice, or is nested deeper than 64.
[[nodiscard]] Result<boost::json::value> parse_json(std::string_view text);

// On one line. Numbers as people write them (1.5, not 1.5E0).
[[nodiscard]] std::string to_compact_json(const boost::json::value& value);

// Indented, with a newline at the end; control characters escaped, so that it is safe to show.
[[nodiscard]] std::string to_json(const boost::json::value& value);

// The same of JSON that is text already: numbers stay as they are written, whatever their size. `text` must be JSON.
[[nodiscard]] std::string indent_json(std::string_view text);

// A JSON string literal with every control character escaped.
[[nodiscard]] std::string quote_json(std::string_view text);

// A key as a reference token of a JSON pointer (RFC 6901).
[[nodiscard]] std::string pointer_token(std::string_view key);

}  // namespace dhub::cli
