// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/environment.h"
#include "cli/command_line.h"

namespace dhub::wiring {

// `dhub config view`: each setting, its value and where it comes from. Answers the exit code.
[[nodiscard]] int view_config(const cli::ServerFlags& flags, const Environment& environment,
                              const cli::OutputFlags& output, cli::Console& console);

}  // namespace dhub::wiring
