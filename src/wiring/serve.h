// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/environment.h"
#include "cli/command_line.h"

namespace dhub::wiring {

// `dhub serve`: runs a server until a signal ends it. Answers the exit code: 0 after a clean end, 1 when the server
// could not start or end, 2 when the configuration is wrong. A second signal ends the process at once.
[[nodiscard]] int serve(const cli::ServerFlags& flags, const Environment& environment, cli::Console& console);

// `dhub runner`: the host of instances, on the socket that the server handed down.
[[nodiscard]] int run_runner(int descriptor);

}  // namespace dhub::wiring
