// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <boost/json/fwd.hpp>
#include <string>
#include <string_view>

#include "base/result.h"

namespace dhub::pipeline {

// Objects and lists within each other; deeper text is refused, so that no reader of it can exhaust a stack.
constexpr std::size_t kDeepestJson = 32;

// Malformed when the text is not one JSON value in UTF-8, is nested too deep, or holds a number beyond what a double
// can hold.
[[nodiscard]] Result<boost::json::value> parse_json(std::string_view text);

// The one way to print this content: no blanks, keys sorted, shortest numbers; texts that differ only in these answer
// the same. Integers of more than 64 bits lose precision. Malformed as above.
[[nodiscard]] Result<std::string> canonical_json(std::string_view text);

}  // namespace dhub::pipeline
