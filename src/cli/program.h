// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "base/environment.h"
#include "cli/command_line.h"

namespace dhub::cli {

// The whole program behind main(): reads the words after its name, runs the verb, says what went wrong, and answers
// the exit code of the process.
[[nodiscard]] int run(const std::vector<std::string>& arguments, const Environment& environment, Console& console,
                      const ServerVerbs& server_verbs);

// Columns of the terminal behind standard output: COLUMNS, else what the terminal says, else 80.
[[nodiscard]] std::size_t terminal_width(const Environment& environment);

}  // namespace dhub::cli
