// SPDX-License-Identifier: Apache-2.0
#include "base/result.h"

namespace dhub {

const char* to_string(ErrorCode code) {
  switch (code) {
    case ErrorCode::InvalidArgument:
      return "invalid_argument";
    case ErrorCode::Malformed:
      return "malformed";
    case ErrorCode::NotFound:
      return "not_found";
    case ErrorCode::AlreadyExists:
      return "already_exists";
    case ErrorCode::Conflict:
      return "conflict";
    case ErrorCode::PreconditionFailed:
      return "precondition_failed";
    case ErrorCode::Unauthenticated:
      return "unauthenticated";
    case ErrorCode::PermissionDenied:
      return "permission_denied";
    case ErrorCode::TooLarge:
      return "too_large";
    case ErrorCode::StorageFull:
      return "storage_full";
    case ErrorCode::Unavailable:
      return "unavailable";
    case ErrorCode::DeadlineExceeded:
      return "deadline_exceeded";
    case ErrorCode::OutcomeUnknown:
      return "outcome_unknown";
    case ErrorCode::Cancelled:
      return "cancelled";
    case ErrorCode::Fenced:
      return "fenced";
    case ErrorCode::Corruption:
      return "corruption";
    case ErrorCode::Unsupported:
      return "not_served_yet";
    case ErrorCode::EventOptionMissing:
      return "event_option_missing";
    case ErrorCode::Internal:
      return "internal";
  }
  return "internal";
}

}  // namespace dhub
