// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace dhub::cli {

// What a script can tell from the program's end. Fixed: documented in `dhub --help`, never renumber.
enum class ExitCode {
  Ok = 0,
  Failed = 1,
  Usage = 2,
  NotFound = 3,
  Unauthorized = 4,
  Conflict = 5,
  TimedOut = 6,
  Unreachable = 7,
  RunFailed = 8,
};

// By the HTTP status of an error reply.
[[nodiscard]] ExitCode exit_code_of_status(int http_status);

}  // namespace dhub::cli
