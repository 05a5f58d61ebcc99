// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <boost/json/value.hpp>
#include <string>
#include <string_view>

#include "base/result.h"

namespace dhub::cli {

// Malformed with "line:column: ..." when the text is not one JSON value, has a key twice, or is nested deeper than 64.
[[nodiscard]] Result<boost::json::value> parse_json(std::string_view text);

// A JSON string literal with every control character escaped.
[[nodiscard]] std::string quote_json(std::string_view text);

// A key as a reference token of a JSON pointer (RFC 6901).
[[nodiscard]] std::string pointer_token(std::string_view key);

}  // namespace dhub::cli
