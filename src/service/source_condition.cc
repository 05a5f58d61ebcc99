// SPDX-License-Identifier: Apache-2.0
#include "service/source_condition.h"

namespace dhub::service {
namespace {

struct Told {
  const char* reason;
  const char* next_action;
};

Told told_of(ErrorCode code) {
  switch (code) {
    case ErrorCode::Unavailable:
      return {"LogUnreachable",
              "See that the topic's cluster runs and can be reached from here (of an embedded topic: that the disk of "
              "the data directory can be read); it goes on by itself."};
    case ErrorCode::NotFound:
      return {"TopicGone", "Create the topic again and start the trigger again, or stop the trigger."};
    case ErrorCode::Conflict:
      return {"TopicReplaced", "Start the trigger again: it begins anew on the topic that has the name now."};
    case ErrorCode::PermissionDenied:
      return {"NotAuthorized",
              "Let the server's user read and describe the topic, or correct the credentials in the configuration."};
    case ErrorCode::Corruption:
      return {"LogTruncated", "Start the trigger again with from=earliest or from=latest."};
    default:
      return {"ReadFailed", "Look at the server's log; reading is tried again every second."};
  }
}

}  // namespace

Condition source_failed(const Error& error) {
  const Told told = told_of(error.code);
  return {"Source", false, told.reason, error.message, told.next_action};
}

}  // namespace dhub::service
