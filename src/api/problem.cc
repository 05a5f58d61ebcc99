// SPDX-License-Identifier: Apache-2.0
#include "api/problem.h"

#include <array>
#include <utility>

#include "api/json.h"
#include "base/check.h"

namespace dhub::api {
namespace {

struct Row {
  ErrorCode code;
  int status;
  std::string_view slug;
  std::string_view title;
};

// The one table from ErrorCode to HTTP.
constexpr std::array<Row, 19> kRows{{
    {ErrorCode::InvalidArgument, 422, "invalid_argument", "The request is not acceptable"},
    {ErrorCode::Malformed, 400, "malformed", "The request cannot be read"},
    {ErrorCode::NotFound, 404, "not_found", "Not found"},
    {ErrorCode::AlreadyExists, 409, "already_exists", "It exists already"},
    {ErrorCode::Conflict, 409, "conflict", "The state of the object forbids it"},
    {ErrorCode::PreconditionFailed, 412, "precondition_failed", "The object has changed"},
    {ErrorCode::Unauthenticated, 401, "unauthenticated", "Not authenticated"},
    {ErrorCode::PermissionDenied, 403, "permission_denied", "Not allowed"},
    {ErrorCode::TooLarge, 413, "too_large", "Too large"},
    {ErrorCode::StorageFull, 507, "storage_full", "The disk is full"},
    {ErrorCode::Unavailable, 503, "unavailable", "Not available now"},
    {ErrorCode::DeadlineExceeded, 504, "deadline_exceeded", "It took too long"},
    {ErrorCode::OutcomeUnknown, 504, "outcome_unknown", "It is not known whether this was done"},
    {ErrorCode::Cancelled, 503, "cancelled", "The server is stopping"},
    {ErrorCode::Fenced, 500, "internal", "Internal error"},
    {ErrorCode::Corruption, 500, "corruption", "Stored data is damaged"},
    {ErrorCode::Unsupported, 422, "not_served_yet", "Not served yet"},
    {ErrorCode::EventOptionMissing, 500, "event_option_missing", "The pipeline has no event option"},
    {ErrorCode::Internal, 500, "internal", "Internal error"},
}};

const Row& row_of(ErrorCode code) {
  for (const auto& row : kRows)
    if (row.code == code) return row;
  return kRows.back();
}

constexpr std::string_view kOurFault =
    "The server failed to do this. Its log holds the cause under the trace_id of this answer.";

}  // namespace

bool is_our_fault(ErrorCode code) {
  return code == ErrorCode::Internal || code == ErrorCode::Corruption || code == ErrorCode::Fenced;
}

Problem problem_of(const Error& error) {
  const Row& row = row_of(error.code);
  Problem problem{row.status, std::string(row.slug), std::string(row.title), error.message, error.fields};
  if (is_our_fault(error.code)) {
    problem.detail = kOurFault;
    problem.errors.clear();
  }
  return problem;
}

Problem make_problem(int status, std::string code, std::string detail) {
  return Problem{status, std::move(code), std::string(reason_phrase(status)), std::move(detail)};
}

std::string to_json(const Problem& problem, std::string_view instance, std::string_view trace_id) {
  JsonWriter out;
  out.begin_object()
      .field("type", "urn:dhub:problem:" + problem.code)
      .field("title", problem.title)
      .field("status", problem.status)
      .field("detail", problem.detail)
      .field("instance", instance)
      .field("code", problem.code)
      .field("trace_id", trace_id);
  if (!problem.errors.empty()) {
    out.key("errors").begin_list();
    for (const auto& error : problem.errors)
      out.begin_object().field("pointer", error.pointer).field("detail", error.detail).end_object();
    out.end_list();
  }
  if (!problem.more.empty()) out.raw(problem.more);
  return out.end_object().take();
}

std::string_view reason_phrase(int status) {
  static constexpr std::array<std::pair<int, std::string_view>, 27> kPhrases{{
      {100, "Continue"},
      {200, "OK"},
      {201, "Created"},
      {202, "Accepted"},
      {204, "No Content"},
      {400, "Bad Request"},
      {401, "Unauthorized"},
      {403, "Forbidden"},
      {404, "Not Found"},
      {405, "Method Not Allowed"},
      {408, "Request Timeout"},
      {409, "Conflict"},
      {412, "Precondition Failed"},
      {413, "Content Too Large"},
      {414, "URI Too Long"},
      {415, "Unsupported Media Type"},
      {417, "Expectation Failed"},
      {421, "Misdirected Request"},
      {422, "Unprocessable Content"},
      {429, "Too Many Requests"},
      {431, "Request Header Fields Too Large"},
      {500, "Internal Server Error"},
      {501, "Not Implemented"},
      {503, "Service Unavailable"},
      {504, "Gateway Timeout"},
      {505, "HTTP Version Not Supported"},
      {507, "Insufficient Storage"},
  }};
  for (const auto& [number, phrase] : kPhrases)
    if (number == status) return phrase;
  return "Unknown";
}

}  // namespace dhub::api
