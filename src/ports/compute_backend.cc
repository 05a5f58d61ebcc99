// SPDX-License-Identifier: Apache-2.0
#include "ports/compute_backend.h"

namespace dhub {

const char* to_string(EndReason reason) {
  switch (reason) {
    case EndReason::Drained:
      return "drained";
    case EndReason::Crashed:
      return "crashed";
    case EndReason::TimedOut:
      return "timed_out";
    case EndReason::OutOfMemory:
      return "out_of_memory";
    case EndReason::Killed:
      return "killed";
    case EndReason::FailedToStart:
      return "failed_to_start";
    case EndReason::HostLost:
      return "host_lost";
  }
  return "crashed";
}

}  // namespace dhub
