// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <tl/expected.hpp>
#include <utility>
#include <vector>

namespace dhub {

// The closed set of ways in which an operation can fail. What HTTP status a code has, and whether a caller may retry,
// are functions of the code: one table each (api/problem.cc, retryable() below).
enum class ErrorCode {
  InvalidArgument,     // well-formed, but not acceptable: 422
  Malformed,           // cannot be parsed: 400
  NotFound,            // 404
  AlreadyExists,       // 409
  Conflict,            // the object's state forbids it: 409
  PreconditionFailed,  // If-Match did not match: 412
  Unauthenticated,     // 401
  PermissionDenied,    // 403
  TooLarge,            // 413
  StorageFull,         // below the disk reserve, or the disk is full: 507
  Unavailable,         // try again later: 503
  DeadlineExceeded,    // 504
  OutcomeUnknown,      // no answer came in time, and it may yet be done; repeating is safe: 504
  Cancelled,           // the owner is stopping: 503
  Fenced,              // a newer owner has taken over: never retried by the old one
  Corruption,          // stored bytes are not what was written: 500
  Unsupported,         // known, but not served yet: 422 not_served_yet
  EventOptionMissing,  // the page's own 500
  Internal,            // a bug: 500
};

// One wrong field of a request body; `pointer` is an RFC 6901 JSON pointer.
struct FieldError {
  std::string pointer;
  std::string detail;
};

// A failure as a value. `message` is one sentence for the user: what is wrong and what to do next; it names the object
// and never holds a path, SQL or a secret.
struct Error {
  ErrorCode code = ErrorCode::Internal;
  std::string message;
  std::vector<FieldError> fields = {};
};

template <typename T>
using Result = tl::expected<T, Error>;
using Status = Result<void>;

[[nodiscard]] inline tl::unexpected<Error> fail(ErrorCode code, std::string message) {
  return tl::unexpected<Error>(Error{code, std::move(message), {}});
}
[[nodiscard]] inline tl::unexpected<Error> fail(Error error) {
  return tl::unexpected<Error>(std::move(error));
}

// May the same call succeed later without anybody changing it?
[[nodiscard]] constexpr bool retryable(ErrorCode code) {
  return code == ErrorCode::StorageFull || code == ErrorCode::Unavailable || code == ErrorCode::DeadlineExceeded ||
         code == ErrorCode::OutcomeUnknown;
}

[[nodiscard]] const char* to_string(ErrorCode code);

}  // namespace dhub

// Plain macros: a statement expression would trip -Wpedantic.
#define DHUB_CONCAT_INNER(a, b) a##b
#define DHUB_CONCAT(a, b) DHUB_CONCAT_INNER(a, b)
#define RETURN_IF_ERROR(expression)                                                          \
  do {                                                                                       \
    auto status_of_expression = (expression);                                                \
    if (!status_of_expression) return ::dhub::fail(std::move(status_of_expression.error())); \
  } while (false)
#define ASSIGN_OR_RETURN(declaration, expression) \
  ASSIGN_OR_RETURN_INNER(DHUB_CONCAT(result_of_, __LINE__), declaration, expression)
#define ASSIGN_OR_RETURN_INNER(name, declaration, expression) \
  auto name = (expression);                                   \
  if (!name) return ::dhub::fail(std::move(name.error()));    \
  declaration = std::move(*name)
