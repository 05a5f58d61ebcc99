// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>

#include "runner/isolation.h"

namespace dhub::runner {

// The host process, `dhub runner`: starts, watches and ends the workers of a server that talks to it over the stream
// socket `fd` (docs/specs/frames.md). Owns templates, workers, deadlines, logs and kills; user code runs below it and
// never in it. Single-threaded. Returns when the socket ends, with all processes below it gone; the answer is the
// process's exit code. Without an `isolation` the best one that the system allows is taken.
int run_host(int fd, std::optional<Isolation> isolation = std::nullopt);

}  // namespace dhub::runner
