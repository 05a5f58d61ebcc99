// SPDX-License-Identifier: Apache-2.0
#include "cli/exit_code.h"

namespace dhub::cli {

ExitCode exit_code_of_status(int http_status) {
  switch (http_status) {
    case 401:
    case 403:
      return ExitCode::Unauthorized;
    case 404:
      return ExitCode::NotFound;
    case 408:
    case 504:
      return ExitCode::TimedOut;
    case 409:
    case 412:
      return ExitCode::Conflict;
    default:
      return ExitCode::Failed;
  }
}

}  // namespace dhub::cli
