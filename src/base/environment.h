// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>

namespace dhub {

// The process environment, read once at the start and passed on as a value.
using Environment = std::map<std::string, std::string>;

[[nodiscard]] Environment read_environment();

// The value, or empty when it is not set: an empty variable counts as unset everywhere.
[[nodiscard]] std::string get(const Environment& environment, const std::string& name);

}  // namespace dhub
